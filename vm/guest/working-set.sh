#!/bin/sh
# Fills most of the memory, half with random bytes of processes, half with files of vdb, and hibernates
# by each of ways=, each time to a fresh swap (vdc, vdd, …): kernel (with image_size 0), or torpor: off
# (no working set), on, alone (on, and nobody works meanwhile), min and max (sizes of the image).
# Tells how long the memory takes to be warm again.

. /guest/holders.sh

sums() {
    ask_all sum
    find /mnt -type f | sort | xargs cat | md5sum
}

# Percent of the memory in use, caches too.
used() {
    awk '/^MemTotal/ { all = $2 } /^MemFree/ { free = $2 } END { print int(100 * (1 - free / all)) }' \
        /proc/meminfo
}

hibernate() {
    echo "$image_size" >/sys/power/image_size
    case $1 in
        kernel)
            echo 0 >/sys/power/image_size
            echo disk >/sys/power/state
            ;;
        off) torpor hibernate --mode shutdown --store "$swap" --working-set off ;;
        on | alone) torpor hibernate --mode shutdown --store "$swap" ;;
        *) torpor hibernate --mode shutdown --store "$swap" --image-size "$1" ;;
    esac
}

# The work: files and memory at once, as programs would, all of it in random order.
work() {
    perl /guest/working-set.pl read /mnt &
    reader=$!
    ask_all walk >/run/walked
    wait $reader
}

# live WAY: hibernate this way and come back to the same work.
live() {
    rm -f /run/torpor/replay.json
    report "hibernating way=$1 files-before=$(cached_pages) anon-before=$(resident) used-before=$(used)"
    hibernate "$1"
    code=$?
    began=$(uptime)
    report "returned way=$1 code=$code files-first=$(cached_pages) anon-first=$(resident)"
    out=$(swapped_out)
    [ "$1" = alone ] || work
    ended=$(uptime)
    case $1 in kernel | off) ;; *) wait_for_replay ;; esac
    settled=$(uptime)
    again="files-again=$(cached_pages) anon-again=$(resident) swapped-out=$(($(swapped_out) - out))"
    report "warm way=$1 worked=$(seconds "$began" "$ended") settled=$(seconds "$began" "$settled") $again"
    [ ! -e /run/torpor/replay.json ] || report "replay $(tr -d ' \n' </run/torpor/replay.json)"
}

seconds() {
    echo "$1 $2" | awk '{ print $2 - $1 }'
}

echo shutdown >/sys/power/disk
image_size=$(cat /sys/power/image_size)
start_holders
before=$(sums)
set -- /dev/vdc /dev/vdd /dev/vde /dev/vdf /dev/vdg
for way in $(parameter ways | tr , ' '); do
    swap=$1
    shift
    swapon "$swap"
    warm_up
    live "$way"
    [ "$(sums)" = "$before" ]
    report "checked way=$way differs=$?"
    swapoff "$swap"
done
