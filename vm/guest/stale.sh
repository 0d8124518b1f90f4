#!/bin/sh
# A boot that did not resume and whose image was kept: it gets its swap back.

. /guest/lib.sh
device=$(findfs "$(parameter resume)")
swapon "$device" 2>/run/swapon
report "cold-boot swapon=$? before=$(grep -c /dev/ /proc/swaps)"
echo "$device none swap sw 0 0" >/etc/fstab
torpor discard --stale >/run/stale 2>&1
report "stale=$? said=$(tr ' ' _ </run/stale) after=$(grep -c /dev/ /proc/swaps)"
