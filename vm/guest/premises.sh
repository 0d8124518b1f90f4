#!/bin/sh
# What the kernel does, without our programs: kernel threads that go on while all tasks are frozen,
# and file systems frozen on disks that the host looks at meanwhile.

. /guest/lib.sh
. /guest/disks.sh

count() {
    number=0
    while :; do
        number=$((number + 1))
        echo "$number" >/run/count.new
        mv /run/count.new /run/count
        sleep 0.1
    done
}

# Leave it with data that was never synced.
write_much() {
    look "$1" "$2"
    cp -r /guest "/mnt/$2/guest"
    dd if=/dev/urandom of="/mnt/$2/data" bs=1M count=8 2>/run/dd.log
    rm "/mnt/$2/guest/lib.sh"
}

freeze() {
    fsfreeze --freeze "/mnt/$2" 2>/run/said
    report "frozen-$2=$?"
}

thaw() {
    fsfreeze --unfreeze "/mnt/$2" 2>/run/said
}

count &
counter=$!
sleep 1
sync
for name in writeback expire; do
    echo 100 >"/proc/sys/vm/dirty_${name}_centisecs"
done
report "$(perl /guest/frozen.pl)"
kill $counter

each_disk write_much
each_disk freeze
report "all-frozen"
read -r _ </dev/ttyS0
each_disk thaw
each_disk leave
