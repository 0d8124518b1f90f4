#!/bin/sh
# Tries to make a store of a device of each kind that refused= lists, and to hibernate to another one
# while it is set up.

. /guest/layers.sh

# Run torpor, and tell under this name how that ended: try NAME WORD…
try() {
    name=$1
    shift
    torpor "$@" >/run/said 2>&1
    report "ended=$name exit=$? said=$(grep '^torpor: /' /run/said | head -n 1 | tr ' ' _)"
}

torpor mkstore /dev/vdb >/run/mkstore
for layer in $(parameter refused | tr , ' '); do
    on_disk /dev/vdc 32768
    set_up "$layer" "$layer"
    try "store-$layer" mkstore --force "/dev/mapper/$layer"
    case " $(parameter usable | tr , ' ') " in
        *" $layer "*) ;;
        *) try "use-$layer" hibernate --store /dev/vdb ;;
    esac
    dmsetup remove_all
    dd if=/dev/zero of=/dev/vdc bs=1M count=41 conv=notrunc 2>/run/dd.log
done
