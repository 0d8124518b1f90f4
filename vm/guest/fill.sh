#!/bin/sh
# Fills memory with what the third disk holds and hibernates: a stream for the benchmark.

. /guest/lib.sh
mount -t tmpfs -o size=90% data /mnt
dd if=/dev/vdc of=/mnt/data bs=1M 2>/run/dd.log
swapon /dev/vdb
torpor hibernate --image-size 3G
report "hibernate-exit code=$?"
