#!/bin/sh
# Hibernates once, with memory worth saving and a process whose secret lies nowhere else.

# shellcheck source=/dev/null
. /guest/lib.sh

# Holds a random number in this process's memory, counts, and tells both to /run/answer when
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

ask() {
    kill -USR1 "$keeper"
    read -r answer </run/answer
    report "$1 $answer boot_id=$(boot_id) data=$(cat /run/data/* | md5sum | cut -d ' ' -f 1)"
}

mkfifo /run/answer
keep_secret &
keeper=$!

# Memory worth saving: 48 MiB that do not compress, and three times all of torpor's own files.
mkdir /run/data
dd if=/dev/urandom of=/run/data/random bs=1M count=48 2>/run/dd.log
for part in 1 2 3; do
    find /usr/lib/torpor -type f -exec cat {} + >"/run/data/programs.$part"
done

swapon "$(findfs "$(parameter resume)")"
ask "before uptime=$(uptime)"
torpor hibernate
report "hibernate-exit code=$? uptime=$(uptime)"
ask "after swaps=$(grep -c /dev/ /proc/swaps)"
kill "$keeper"
