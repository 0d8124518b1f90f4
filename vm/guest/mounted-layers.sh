#!/bin/sh
# What the scripts do to the file systems on the devices that layers= lists.

PATH=/sbin:/usr/sbin:$PATH

# Run a function with the name of each.
each_layer() {
    for layer in $(parameter layers | tr , ' '); do
        "$1" "$layer"
    done
}

look() {
    mkdir -p "/mnt/$1"
    mount -t ext4 "/dev/mapper/$1" "/mnt/$1" || report "mount=failed-$1"
}

# Tell a sum over files on all of them: tell_sum NAME FILE…
tell_sum() {
    name=$1
    shift
    echo 3 >/proc/sys/vm/drop_caches
    report "$name=$(for file; do cat /mnt/*/"$file"; done | md5sum | cut -d ' ' -f 1)"
}
