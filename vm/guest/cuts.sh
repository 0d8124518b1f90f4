#!/bin/sh
# Hibernates while a process appends to a file on the root and syncs each line, to the swap or the
# empty store that the second disk is. The host may cut the power at any moment.

. /guest/memory.sh

# Tell the number of each line once it is on the disk.
append() {
    number=0
    while :; do
        number=$((number + 1))
        echo "$number" >>/root/appended
        sync /root/appended
        report "synced=$number"
        sleep 0.5
    done
}

keep 24
dd if=/dev/urandom of=/root/kept bs=1k count=256 conv=fsync 2>/run/dd.log
report "kept=$(md5sum </root/kept | cut -d ' ' -f 1)"
append &
appender=$!
if [ "$(parameter store)" = swap ]; then
    swapon /dev/vdb
    set --
else
    torpor mkstore /dev/vdb >/run/mkstore
    set -- --store /dev/vdb --mode shutdown
fi
ask before
torpor hibernate "$@"
report "hibernate-exit code=$? uptime=$(uptime)"
ask after
sleep 1
kill "$appender"
stop_keeper
