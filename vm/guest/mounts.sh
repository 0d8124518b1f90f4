#!/bin/sh
# Mounts file systems, eight disks of each kind, and does to each what its name says. The host
# compares what is left on the disks.

. /guest/lib.sh

# Copy what is on a disk now to others. A file system may have written past the page cache.
copy() {
    from=$1
    shift
    echo 3 >/proc/sys/vm/drop_caches
    for to in "$@"; do
        dd if="$from" of="$to" bs=1M conv=fsync 2>/dev/null
    done
}

# type, base, alone, byte, new, synced, reading, crashed, replayed
change() {
    mount -t "$1" "$2" /mnt &&
        mkdir /mnt/folder &&
        dd if=/dev/zero of=/mnt/folder/file bs=10000 count=1 2>/dev/null &&
        touch -d 2001-09-09 /mnt/folder/file &&
        umount /mnt || exit 1
    copy "$2" "$3" "$4" "$5"

    mount -t "$1" "$3" /mnt && umount /mnt || exit 1

    mount -t "$1" "$4" /mnt &&
        printf y | dd of=/mnt/folder/file bs=1 seek=5000 conv=notrunc 2>/dev/null &&
        umount /mnt || exit 1

    # Some cannot be frozen; what a sync leaves on the device is what the guard would see.
    mount -t "$1" "$5" /mnt && echo new >/mnt/new && sync || exit 1
    fsfreeze --freeze /mnt 2>/dev/null
    copy "$5" "$6" "$7"
    fsfreeze --unfreeze /mnt 2>/dev/null
    echo more >/mnt/new && sync /mnt/new || exit 1
    copy "$5" "$8"
    umount /mnt || exit 1

    mount -t "$1" -o "ro$(option_of "$1")" "$7" /mnt || exit 1
    report "read-$1=$(cat /mnt/new)"
    umount /mnt || exit 1

    copy "$8" "$9"
    mount -t "$1" -o ro "$9" /mnt || exit 1
    report "replayed-$1=$(cat /mnt/new)"
    umount /mnt || exit 1
}

option_of() {
    case $1 in
        nilfs2) echo ,norecovery ;;
    esac
}

kinds=$(parameter kinds | tr , ' ')
set -- /dev/vd[b-z]
for kind in $kinds; do
    change "$kind" "$1" "$2" "$3" "$4" "$5" "$6" "$7" "$8"
    shift 8
done
