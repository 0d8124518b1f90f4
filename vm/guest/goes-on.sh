#!/bin/sh
# What the scripts tell of a machine after a hibernation that did not come to its end.

. /guest/memory.sh
groups=/sys/fs/cgroup

# Make the memory and a cgroup of its own for the keeper, and use the device as swap.
prepare() {
    swap=$1
    keep 40
    mount -t cgroup2 none $groups
    mkdir $groups/keeper
    echo "${keeper:?}" >$groups/keeper/cgroup.procs
    swapon "$swap"
    header /run/header
    ask before
}

header() {
    dd if="$swap" of="$1" bs=4096 count=1 iflag=direct 2>/run/dd.log
}

# Tell under this name the exit code and the message, whether the swap's header is as it was, how
# many cgroups are frozen, and whether the root takes writes; the keeper answers, too.
tell() {
    sleep 1 # the watchdog undoes the rest once it is awake
    echo "$1" >>/root/written
    sync
    header /run/header.now
    cmp -s /run/header /run/header.now
    report "ended=$1 exit=$2 header-differs=$? written=$(tail -n 1 /root/written)" \
        "frozen=$(cat $groups/*/cgroup.freeze | grep -c 1) swaps=$(grep -c /dev/ /proc/swaps)" \
        "said=$(grep '^torpor: ' /run/said | grep -v warning | head -n 1 | tr ' ' _)"
    ask "alive-$1"
}

finish() {
    swapoff "$swap"
    report "swapoff=$?"
    stop_keeper
}
