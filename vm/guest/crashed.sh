#!/bin/sh
# The boot after a machine has died with a file system on each layer (layered.sh): looks at each.

. /guest/lib.sh
. /guest/mounted-layers.sh

check() {
    umount "/mnt/$1" || report "umount=failed-$1"
    e2fsck -fn "/dev/mapper/$1" >/run/fsck 2>&1 || report "fsck=failed-$1 $(tr ' \n' '_+' </run/fsck)"
}

report "cold-boot"
each_layer look
tell_sum written kept more
each_layer check
report "tables=$(dmsetup status | tr ' \n' '_+')"
