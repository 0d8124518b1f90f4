"""Which initramfs a boot takes: what boot loaders and the firmware left, entries, and names.

`find` answers; `files` knows what boot loaders left and where they read from.
"""
