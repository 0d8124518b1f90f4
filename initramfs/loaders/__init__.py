"""Which initramfs a boot takes: what boot loaders and the firmware left, entries, and names.

`find` answers; `booted` knows what this boot took, `files` what boot loaders left and where they
read from.
"""
