#!/bin/sh
# Tells what one life of the machine has and no other: the keeper's secret, the boot id, and a sum
# over data in memory.
kill -USR1 "$(cat /run/agent/keeper)"
read -r answer </run/agent/answer
echo "$answer boot_id=$(cat /proc/sys/kernel/random/boot_id)" \
    "data=$(md5sum </run/agent/data | cut -d ' ' -f 1)"
