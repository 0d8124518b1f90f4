#!/bin/sh
# Another system has the disks of a hibernated machine: it mounts those that kinds= lists, with the
# options of options=, and writes to them if it can.

. /guest/lib.sh
. /guest/disks.sh

visit() {
    mkdir -p "/mnt/$2"
    options=$(parameter options)
    [ "$2" != xfs ] || [ "$options" != ro ] || options=ro,norecovery
    mount -t "$2" -o "$options" "$1" "/mnt/$2" || report "mount=failed-$2"
    ls "/mnt/$2" >/run/listing
    [ "${options%%,*}" = ro ] || echo foreign >"/mnt/$2/foreign"
    umount "/mnt/$2"
}

each_disk visit
report "visited=$(parameter kinds)"
