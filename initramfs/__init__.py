"""What runs in an initramfs, and what Torpor knows of initramfs on disk.

The folders `dracut`, `initramfs-tools`, `mkinitcpio` and `systemd` hold the hooks (README.md).
`generators` knows the programs that make an initramfs, `loaders` which one a boot takes, `archive`
what is in one.
"""
