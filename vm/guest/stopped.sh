#!/bin/sh
# Two hibernations that do not come to their end: the host types Control-\ and Control-C at the
# console while they write. The machine goes on each time.

# shellcheck source=/dev/null
. /guest/memory.sh
start_keeper
fill_memory
swapon "$(findfs "$(parameter resume)")"
dd if="$(findfs "$(parameter resume)")" of=/run/header bs=4096 count=1 iflag=direct 2>/run/dd.log
ask before
for key in quit int; do
    # A trap that does nothing: the shell survives the key, its child gets the default action.
    setsid -c sh -c 'trap : QUIT INT; torpor hibernate --image-size 0; echo $? >/run/exit' \
        </dev/ttyS0 >/dev/ttyS0 2>&1
    report "stopped-by=$key exit-$key=$(cat /run/exit) swapped-$key=$(swapped)"
    sleep 1 # the watchdog thaws the file systems once it is awake
    echo "$key" >>/root/writable
    sync
    report "written-$key=$(tail -n 1 /root/writable)"
done
dd if="$(findfs "$(parameter resume)")" of=/run/header.after bs=4096 count=1 iflag=direct \
    2>/run/dd.log
cmp /run/header /run/header.after
report "header-differs=$?"
ask "after swaps=$(grep -c /dev/ /proc/swaps)"
swapoff "$(findfs "$(parameter resume)")"
report "swapoff=$?"
stop_keeper
