"""The programs that make an initramfs, one module each: what doctor and enable know of them.

`initramfs_tools`, `dracut` and `mkinitcpio` say where the generator is installed, what has to stand
in its configuration, what an initramfs of it looks like, and what a boot by that opens; `systemd`
what systemd does there, whoever made it. `generator` is what is asked of all of them, `layers` what
there is to open. `find` tells which of them a system uses, and what has to be run there. `shell`
reads configuration that is a shell's, `hooks` mkinitcpio's, `kernels` knows the installed kernels
and their order, and where boot loaders read from.

All of it is decided from files below a `Root`: nothing here writes, prints or runs a program.
"""
