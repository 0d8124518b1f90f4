"""What Torpor remembers outside of images.

`conf` reads /etc/torpor.conf, `location` keeps where the store is for the initramfs, `record` how
the last hibernation went, `boot` why this boot did not resume, `working_set` what waits to be
brought back. Small files with one reader and one writer here.
"""
