#!/bin/sh
# What the scripts do to the file systems on the third disk and those behind it, or on devices in
# /dev/mapper that are called as their kind.

# Run a function with device and kind of each.
each_disk() {
    disks="c d e f g"
    for kind in $(parameter kinds | tr , ' '); do
        device=/dev/mapper/$kind
        [ -e "$device" ] || device=/dev/vd${disks%% *}
        "$1" "$device" "$kind"
        disks=${disks#* }
    done
}

# Mount it and write a file; the root gets one, too.
fill() {
    look "$1" "$2"
    for place in "/mnt/$2" /root; do
        head -c 300000 /dev/urandom >"$place/kept"
        sync "$place/kept"
    done
}

look() {
    mkdir -p "/mnt/$2"
    mount -t "$2" "$1" "/mnt/$2" || report "mount=failed-$2"
}

add() {
    echo more >"/mnt/$2/more" || report "write=failed-$2"
    sync "/mnt/$2/more"
}

leave() {
    umount "/mnt/$2" || report "umount=failed-$2"
}

# Tell one sum over the files on the root and on all of them.
tell_sums() {
    echo 3 >/proc/sys/vm/drop_caches
    report "sums=$(cat /root/kept /mnt/*/kept | md5sum | cut -d ' ' -f 1)"
}
