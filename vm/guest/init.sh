#!/bin/sh
# /sbin/init of the guests' root: runs the scenario named on the kernel command line, tells its
# exit status and powers off with the root clean. In a machine that resumed, this very script
# goes on from within the scenario that hibernated.

. /guest/lib.sh
export PATH=/bin:/usr/bin:/sbin:/usr/sbin HOME=/root

mount -t tmpfs tmp /tmp
hostname guest
report "init uptime=$(uptime) boot_id=$(boot_id)"
scenario=$(parameter scenario)
sh "/guest/$scenario.sh"
report "status=$?"

report "off uptime=$(uptime)"
sync
mount -o remount,ro /
poweroff -f
