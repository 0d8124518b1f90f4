#!/bin/sh
# Hibernates with as large an image as there can be, of a memory that is full: the kernel leaves as
# little free beside it as it may. reserved= is what it leaves then, instead of what torpor asks for.

. /guest/memory.sh
swapon "$(findfs "$(parameter resume)")"
keep 40
free=$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)
mount -t tmpfs -o size=90% full /mnt
dd if=/dev/urandom of=/mnt/data bs=1M count=$((free * 8 / 10)) 2>/run/dd.log
sum=$(md5sum </mnt/data)

# Until it is frozen itself.
keep_reserve() {
    while :; do
        echo "$1" >/sys/power/reserved_size
        sleep 0.05
    done
}
reserved=$(parameter reserved)
before=$(cat /sys/power/reserved_size)
ask before
if [ -n "$reserved" ]; then
    keep_reserve "$reserved" &
    reserving=$!
fi
torpor hibernate --image-size max
report "hibernate-exit code=$?"
[ -z "$reserved" ] || kill "$reserving"
[ "$sum" = "$(md5sum </mnt/data)" ]
report "data-differs=$? reserved=$before,$(cat /sys/power/reserved_size)"
ask after
stop_keeper
