#!/bin/sh
# /init of the guests' initramfs: runs the resumer where a distribution's initramfs would,
# before the root is mounted, and tells ttyS1 when it began and how it ended.

. /guest/lib.sh

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run

while read -r module; do
    insmod "/modules/$module.ko"
done </modules/order

for script in /early/*; do
    [ ! -e "$script" ] || sh "$script"
done

report "resumer-start uptime=$(uptime)"
/usr/lib/torpor/resume/torpor-resume
report "resumer-exit code=$? uptime=$(uptime)"

read -r line </proc/cmdline
for word in $line; do
    case $word in
        root=*) root=${word#root=} ;;
        ro | rw) access=$word ;;
        unmounted) poweroff -f ;; # the boot ends before it touches the root
    esac
done
mount -t ext4 -o "$access" "$root" /newroot || exit 1
for place in proc sys dev run; do
    mount -o move "/$place" "/newroot/$place"
done
exec switch_root /newroot /sbin/init
