#!/bin/sh
# Processes that hold random memory, and files of vdb beside them: what a machine is warm with.

. /guest/memory.sh
HOLDERS=""

# start_holder NAME MIB KIND: a process with so much random memory, private or shared; it answers once
# it has all of it.
start_holder() {
    mkfifo "/run/$1.in" "/run/$1.out"
    perl /guest/working-set.pl hold "$1" "$2" "$3" &
    echo $! >"/run/$1.pid"
    HOLDERS="$HOLDERS $1"
    ask_holder "$1" resident >/run/started
}

# stop_holder NAME
stop_holder() {
    kill "$(cat "/run/$1.pid")"
    HOLDERS=$(echo "$HOLDERS" | sed "s/ $1//")
}

# ask_holder NAME QUESTION: its answer.
ask_holder() {
    echo "$2" >"/run/$1.in"
    cat "/run/$1.out"
}

# ask_all QUESTION: the answers of all, in a line.
ask_all() {
    for name in $HOLDERS; do
        ask_holder "$name" "$1"
    done | tr '\n' ' '
}

# Two of them, each with hold= MiB, and the files; all in a cgroup, as where systemd runs.
start_holders() {
    mount -t cgroup2 none /sys/fs/cgroup
    echo +memory >/sys/fs/cgroup/cgroup.subtree_control
    mkdir /sys/fs/cgroup/session
    echo $$ >/sys/fs/cgroup/session/cgroup.procs
    mount -o ro,noatime /dev/vdb /mnt
    start_holder one "$(parameter hold)" private
    start_holder two "$(parameter hold)" shared
}

# Pages of all holders in memory.
resident() {
    ask_all resident | awk '{ for (nth = 1; nth <= NF; nth++) pages += $nth; print pages }'
}

cached_pages() {
    perl /guest/working-set.pl resident /mnt
}

# Have all of it in memory.
warm_up() {
    find /mnt -type f -exec cat {} + >/dev/null
    ask_all walk >/run/walked
}

# Pages, since the boot.
swapped_out() {
    awk '/^pswpout/ { print $2 }' /proc/vmstat
}
