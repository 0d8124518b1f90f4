#!/bin/sh
# Hibernations to a device that fails: dm makes parts of the second disk give errors, or forget.

. /guest/goes-on.sh
export DM_DISABLE_UDEV=1
sectors=$(($(blockdev --getsz /dev/vdb) - 2048))
good="0 $sectors linear /dev/vdb 2048"

become() {
    echo "$1" | dmsetup load store
    dmsetup resume store
}

# hibernate NAME OPTION…: with a device that works again afterwards
hibernate() {
    name=$1
    shift
    torpor hibernate --store /dev/mapper/store "$@" 2>/run/said
    code=$?
    become "$good"
    tell "$name" $code
}

echo "$good" | dmsetup create store
mkswap /dev/mapper/store >/run/mkswap
prepare /dev/mapper/store

half=16384
become "0 $half linear /dev/vdb 2048
$half $((sectors - half)) error"
hibernate part-gives-errors

become "0 $sectors flakey /dev/vdb 2048 0 3600 1 error_writes"
hibernate writes-give-errors

become "0 $sectors flakey /dev/vdb 2048 0 3600 1 drop_writes"
hibernate writes-are-dropped --verify

# Of writes only: of reads, which the kernel changes once they are done, it finds none left to
# change (dm-flakey.c, flakey_end_io).
become "0 $sectors flakey /dev/vdb 2048 0 3600 5 corrupt_bio_byte 4096 w 1 0"
hibernate writes-are-changed --verify

swapoff /dev/mapper/store
mkswap /dev/vdc >/run/mkswap
swap=/dev/vdc
swapon $swap
header /run/header
torpor hibernate --store /dev/vdc 2>/run/said
tell no-room $?
finish

swapon /dev/mapper/store
become "0 $sectors flakey /dev/vdb 2048 0 3600 1 drop_writes"
report "unverified"
torpor hibernate --store /dev/mapper/store
