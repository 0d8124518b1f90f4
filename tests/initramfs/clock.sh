#!/bin/sh
# Sourced before torpor-boot in tests: time passes only in `sleep`, by seconds, and what is to happen
# at a second of it is the script $TORPOR_ROOT/at/SECOND.

sleep() {
    case $1 in *.*) return 1 ;; esac # not every sleep knows fractions
    clock_now=$(cat "$TORPOR_ROOT/proc/uptime")
    clock_end=$((${clock_now%%.*} + $1))
    clock_now=${clock_now%%.*}
    while [ "$clock_now" -lt "$clock_end" ]; do
        clock_now=$((clock_now + 1))
        echo "$clock_now.00 0.00" >"$TORPOR_ROOT/proc/uptime"
        [ ! -e "$TORPOR_ROOT/at/$clock_now" ] || PATH=/bin sh "$TORPOR_ROOT/at/$clock_now"
    done
}

udevadm() {
    echo "udevadm $*" >>"$TORPOR_ROOT/said"
}

mount() { # what is mounted there lies in efivars
    echo "mount $*" >>"$TORPOR_ROOT/said"
    [ ! -d "$TORPOR_ROOT/efivars" ] || PATH=/bin cp "$TORPOR_ROOT"/efivars/* "$TORPOR_ROOT/sys/firmware/efi/efivars/"
}

blkid() {
    [ ! -e "$TORPOR_ROOT/blkid" ] || cat "$TORPOR_ROOT/blkid"
}
