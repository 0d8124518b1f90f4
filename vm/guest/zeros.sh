#!/bin/sh
# Hibernates with most of the memory full of zeros, so that the last pages of the snapshot are.

. /guest/memory.sh
keep 8
mount -t tmpfs -o size=95% zeros /mnt
free=$(awk '/MemAvailable/ { print int($2 / 1024) - 96 }' /proc/meminfo)
dd if=/dev/zero of=/mnt/zeros bs=1M count="$free" 2>/run/dd.log
swap=$(findfs "$(parameter resume)")
swapon "$swap"
ask before
torpor hibernate --image-size 3G
report "hibernate-exit code=$? zeros=$(md5sum </mnt/zeros | cut -d ' ' -f 1)"
ask "after swaps=$(grep -c /dev/ /proc/swaps)"
timeout 200 swapoff "$swap" # which waits for ever for a page that nobody gives back
report "swapoff=$?"
stop_keeper
