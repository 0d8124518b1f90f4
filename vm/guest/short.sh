#!/bin/sh
# Replays that cannot bring everything back: others have taken the memory, somebody stops them, a
# process is gone, the files are not mounted any more. Nothing is hibernated.

. /guest/holders.sh

# MiB of memory that nobody uses.
free_mib() {
    awk '/^MemFree/ { print int($2 / 1024) }' /proc/meminfo
}

drop_caches() {
    sync
    echo 3 >/proc/sys/vm/drop_caches
}

# tell NAME: how the replay went that has just ended.
tell() {
    report "$1 code=$? swapped-out=$(($(swapped_out) - out)) files=$(cached_pages) anon=$(resident)"
    report "replay-$1 $(tr -d '\n' </run/torpor/replay.json)"
}

# All of it: a record takes two seconds at most, and this machine may be slow.
record_all() {
    for _ in 1 2 3 4 5; do
        torpor workingset record /run/set >/run/recorded || return
        grep -q ', not all' /run/recorded || return 0
    done
    return 1
}

swapon /dev/vdc
start_holders
warm_up
record_all
report "recorded code=$? files=$(cached_pages) anon=$(resident)"

drop_caches
start_holder hog $(($(free_mib) - $(parameter spare))) private
report "filled free=$(free_mib) anon=$(resident)"
out=$(swapped_out)
torpor workingset replay /run/set
tell short

stop_holder hog
drop_caches
torpor workingset replay /run/set &
replaying=$!
until [ "$(cached_pages)" -gt 1000 ]; do sleep 0.1; done
kill -TERM $replaying
wait $replaying
tell signal

stop_holder two
umount /mnt
torpor workingset replay /run/set
tell gone
