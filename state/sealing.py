"""Whether images are sealed here: the file that says so, of which the initramfs has a copy."""

PATH = "/var/lib/torpor/sealing"
"""Lines `key=value`: the hooks read `tpm2=` and `ask=`, which are `yes` or `no`."""
