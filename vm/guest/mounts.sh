#!/bin/sh
# Mounts FAT and exFAT, six disks of each, and does to each what its name says. The host compares
# what is left on the disks.

. /guest/lib.sh

# Copy a disk to the others.
copy() {
    from=$1
    shift
    for to in "$@"; do
        dd if="$from" of="$to" bs=1M conv=fsync 2>/dev/null
    done
}

# type, base, alone, byte, new, synced, reading
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

    # It cannot be frozen; what a sync leaves on the device is what the guard would see.
    mount -t "$1" "$5" /mnt && echo new >/mnt/new && sync || exit 1
    copy "$5" "$6" "$7"
    umount /mnt || exit 1

    mount -t "$1" -o ro "$7" /mnt || exit 1
    report "read-$1=$(cat /mnt/new)"
    umount /mnt || exit 1
}

change vfat /dev/vdb /dev/vdc /dev/vdd /dev/vde /dev/vdf /dev/vdg
change exfat /dev/vdh /dev/vdi /dev/vdj /dev/vdk /dev/vdl /dev/vdm
