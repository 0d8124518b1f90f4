"""Which initramfs a boot takes: what boot loaders and the firmware left, entries, and names.

`find` answers; `booted` knows what this boot took, `entries` the entries of boot loaders, `files`
where they read from, `efi` the variables that they leave.
"""
