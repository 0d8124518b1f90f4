"""What Torpor remembers outside of images.

`conf` reads /etc/torpor.conf, `location` keeps where the store is for the initramfs, `record` how
the last hibernation went, `boot` why this boot did not resume. `announced` is what the kernel was
told by `torpor announce`, `working_set` what waits to be brought back.

Small text files with one reader and one writer here. Uses format's errors only.
"""
