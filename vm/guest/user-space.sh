#!/bin/sh
# Hibernates with a file system in user space mounted that holds data nobody has synced, and that a
# task writes to all the time.

. /guest/memory.sh

write_on() {
    number=0
    while :; do
        number=$((number + 1))
        echo "$number" >>/mnt/numbers
    done
}

keep 8
ntfs-3g /dev/vdc /mnt >/run/said 2>&1 || report "mount=failed $(tr '\n' ' ' </run/said)"
swapon /dev/vdb
dd if=/dev/urandom of=/mnt/kept bs=1M count=16 2>/run/dd.log
report "sum=$(md5sum </mnt/kept | cut -d ' ' -f 1)"
write_on &
writer=$!
groups=/sys/fs/cgroup
mount -t cgroup2 none $groups
mkdir $groups/writer
echo "$writer" >$groups/writer/cgroup.procs
ask before
torpor hibernate
report "hibernate-exit code=$?"
kill "$writer"
wait "$writer"
echo 3 >/proc/sys/vm/drop_caches
report "sum=$(md5sum </mnt/kept | cut -d ' ' -f 1)" \
    "gaps=$(awk '$1 != NR' /mnt/numbers | wc -l) numbers=$(wc -l </mnt/numbers)"
ask after
umount /mnt
stop_keeper
