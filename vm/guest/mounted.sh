#!/bin/sh
# Hibernates to the second disk with a file system of each kind mounted: the third disk and those
# behind it, of the kinds that kinds= lists.

. /guest/memory.sh
. /guest/disks.sh
keep 8
each_disk fill
tell_sums
swapon /dev/vdb
ask before
torpor hibernate
report "hibernate-exit code=$?"
tell_sums
ask after
each_disk add
each_disk leave
stop_keeper
