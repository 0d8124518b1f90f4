"""What is in an initramfs: its archives, compressed or not, alone or in a unified kernel image.

`uki` finds the archives in a file, `unpack` undoes compressions piece by piece, `cpio` reads the
members, `initramfs` lays them over each other as the kernel does. Reads files and decides nothing.
"""
