#!/bin/sh
# A boot that did not resume: mounts what the hibernated machine had mounted, and looks at it.

. /guest/lib.sh
. /guest/disks.sh
report "cold-boot swaps=$(grep -c /dev/ /proc/swaps)"
each_disk look
tell_sums
each_disk add
each_disk leave
