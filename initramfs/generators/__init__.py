"""The programs that make initramfs images, one module each: what doctor and enable know of them.

`initramfs_tools`, `dracut` and `mkinitcpio` say where the generator is installed, what has to stand
in its configuration, what the user has to do, and what its own configuration says of hooks and
images. `find` tells which of them a system uses, `rebuild` what has to be run there. `shell` reads
configuration that is a shell's, `kernels` knows the installed kernels and their order, `boot` where
boot loaders read from.

All of it is decided from files below a `Root`: nothing here writes, prints or runs a program.
"""
