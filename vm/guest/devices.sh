#!/bin/sh
# Saves the memory once for each of delays=, to a device that takes so many nanoseconds for a request
# and keeps nothing but its first MiB, which is vdc. So --verify refuses the image and nobody powers
# off.

. /guest/lib.sh
export DM_DISABLE_UDEV=1
config=/sys/kernel/config/nullb

# Make a device of this delay, and have the store lie on it.
store_on() {
    name=delay$1
    folder=$config/$name
    if mkdir "$folder" 2>/run/mkdir.log; then
        echo 1024 >"$folder/size"
        echo "$1" >"$folder/completion_nsec"
        [ "$1" = 0 ] || echo 2 >"$folder/irqmode" # by a timer
        echo 1 >"$folder/power"
    fi
    rest=$(($(blockdev --getsz "/dev/$name") - 2048))
    table="0 2048 linear /dev/vdc 0
2048 $rest linear /dev/$name 2048"
    if [ -e /dev/mapper/store ]; then
        echo "$table" | dmsetup load store
        dmsetup resume store
    else
        echo "$table" | dmsetup create store
    fi
}

mount -t configfs config /sys/kernel/config
mount -t tmpfs -o size=90% data /mnt
dd if=/dev/vdb of=/mnt/data bs=1M iflag=direct 2>/run/dd.log
for delay in $(parameter delays | tr , ' '); do
    store_on "$delay"
    torpor hibernate --store /dev/mapper/store --image-size 3G --working-set off --verify 2>/run/said
    report "saved delay=$delay code=$? said=$(tail -n 1 /run/said | tr ' ' _)"
done
