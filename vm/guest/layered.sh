#!/bin/sh
# Hibernates to /dev/mapper/store with a file system on each layer (layers.sh). After the resume it
# writes on, and dies without a shutdown. With hibernate=skip it dies at once.

. /guest/memory.sh
. /guest/mounted-layers.sh

# What dm-integrity has not seen written, it lets nobody read. The mke2fs of busybox makes no journal.
fill() {
    case $1 in integrity | direct | bitmap) cat /dev/zero >"/dev/mapper/$1" 2>/run/cat.log ;; esac
    /usr/sbin/mke2fs -q -F -j -b 4096 "/dev/mapper/$1" >/run/mke2fs 2>&1 || report "mkfs=failed-$1"
    look "$1"
    head -c 300000 /dev/urandom >"/mnt/$1/kept"
    sync "/mnt/$1/kept"
}

# Write a file anew, and one more.
write_on() {
    for name in kept more; do
        head -c 400000 /dev/urandom >"/mnt/$1/$name"
        sync "/mnt/$1/$name" || report "write=failed-$1"
    done
}

keep 8
each_layer fill
tell_sum kept kept
if [ -n "$(parameter store-layer)" ]; then
    mkswap /dev/mapper/store >/run/mkswap
    swapon /dev/mapper/store
    ask before
    torpor hibernate
    report "hibernate-exit code=$?"
    tell_sum kept kept
    ask after
fi
each_layer write_on
tell_sum written kept more
report "tables=$(dmsetup status | tr ' \n' '_+')"
echo b >/proc/sysrq-trigger
