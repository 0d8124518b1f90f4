#!/bin/sh
# Two hibernations that do not come to their end: the host types Control-\ and Control-C at the
# console while they write. The machine goes on each time.

. /guest/goes-on.sh
prepare "$(findfs "$(parameter resume)")"
for key in quit int; do
    : >/run/said
    # A trap that does nothing: the shell survives the key, its child gets the default action.
    setsid -c sh -c 'trap : QUIT INT; torpor hibernate --image-size 0; echo $? >/run/exit' \
        </dev/ttyS0 >/dev/ttyS0 2>&1
    report "swapped-$key=$(swapped)"
    tell "$key" "$(cat /run/exit)"
done
finish
