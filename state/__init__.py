"""What Torpor remembers outside of images.

`conf` reads /etc/torpor.conf, `location` keeps where the store is for the initramfs, `record` how
the last hibernation went and why a boot did not resume; `early` is as much of the two as a boot
without an image needs, which imports little. `announced` is what the kernel was told by `torpor
announce`, `working_set` what waits to be brought back.

Small text files with one reader and one writer here. Uses format's errors only.
"""
