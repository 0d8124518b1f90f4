#!/bin/sh
# Memory to tell one life from another: a secret that no disk holds, and data worth saving.

. /guest/lib.sh

# The keeper: it holds a random number in its memory, counts, and tells both to /run/answer when
# asked by a signal. The root disk never sees the number.
keep_secret() {
    nonce=$(head -c 16 /dev/urandom | hexdump -v -e '/1 "%02x"')
    counter=0
    trap 'echo "nonce=$nonce counter=$counter" >/run/answer' USR1
    while :; do
        counter=$((counter + 1))
        sleep 0.1
    done
}

stop_keeper() {
    kill "$keeper"
}

# Report the keeper's answer and a sum over the data, under this name.
ask() {
    kill -USR1 "$keeper"
    read -r answer </run/answer
    report "$1 $answer boot_id=$(boot_id) data=$(cat /run/data/* | md5sum | cut -d ' ' -f 1)"
}

# Start the keeper, and have so many MiB in memory that do not compress.
keep() {
    mkfifo /run/answer
    keep_secret &
    keeper=$!
    mkdir /run/data
    dd if=/dev/urandom of=/run/data/random bs=1M count="$1" 2>/run/dd.log
}

# Memory worth saving: 48 MiB that do not compress, and five times all of torpor's own files.
fill_memory() {
    keep 48
    for part in 1 2 3 4 5; do
        find /usr/lib/torpor -type f -exec cat {} + >"/run/data/programs.$part"
    done
}

# MiB of files in the page cache.
cached() {
    awk '/^Cached:/ { all = $2 } /^Shmem:/ { shared = $2 } END { print int((all - shared) / 1024) }' \
        /proc/meminfo
}

# Return when the working set has been brought back, or after a minute.
wait_for_replay() {
    for _ in $(seq 300); do
        ! grep -qE '"outcome": "(done|stopped)"' /run/torpor/replay.json 2>/run/replay.log || return 0
        sleep 0.2
    done
}

# MiB of swap in use.
swapped() {
    awk '/SwapTotal/ { total = $2 } /SwapFree/ { free = $2 } END { print int((total - free) / 1024) }' \
        /proc/meminfo
}
