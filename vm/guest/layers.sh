#!/bin/sh
# Run by the initramfs: sets up, as at each boot, a device of each kind that layers= lists, called as
# its kind, on the third disk; and /dev/mapper/store of the kind store-layer= on the second. With
# new=1 they are made; with sums=1 it tells whether that has changed what they lie on.

. /guest/lib.sh
export DM_DISABLE_UDEV=1

dm=/dev/mapper
meta=8192

# From now on, what is set up lies on this disk: on_disk DISK SECTORS
on_disk() {
    disk=$1
    data=$2
    at=2048
}

# slice NAME SECTORS
slice() {
    echo "0 $2 linear $disk $at" | dmsetup create "$1"
    at=$((at + $2))
}

# map NAME SECTORS TARGET PARAMETER…
map() {
    name=$1
    shift
    echo "0 $*" | dmsetup create "$name"
}

# set_up NAME KIND
set_up() {
    slice "$1-a" "$data"
    slice "$1-b" "$data"
    slice "$1-m" "$meta"
    slice "$1-n" "$meta"
    [ -z "$(parameter sums)" ] || sum "$1" >"/run/$1.sum"
    a=$dm/$1-a b=$dm/$1-b m=$dm/$1-m n=$dm/$1-n tagged=$((data * 3 / 4))
    case $2 in
        linear) map "$1" "$data" linear "$a" 0 ;;
        striped) map "$1" "$data" striped 2 128 "$a" 0 "$b" 0 ;;
        crypt) map "$1" "$data" crypt cipher_null-ecb - 0 "$a" 0 ;;
        mirror) map "$1" "$data" mirror disk 2 "$m" 1024 2 "$a" 0 "$b" 0 ;;
        raid) map "$1" "$data" raid raid1 3 0 region_size 1024 2 "$m" "$a" "$n" "$b" ;;
        thin)
            map "$1-pool" "$data" thin-pool "$m" "$a" 128 0
            [ -z "$(parameter new)" ] || dmsetup message "$1-pool" 0 create_thin 0
            map "$1" "$data" thin "$dm/$1-pool" 0
            ;;
        origin)
            map "$1" "$data" snapshot-origin "$a"
            map "$1-snapshot" "$data" snapshot "$a" "$m" P 16
            ;;
        snapshot) map "$1" "$data" snapshot "$a" "$b" P 16 ;;
        integrity) map "$1" $tagged integrity "$a" 0 - J 1 internal_hash:crc32c ;;
        direct) map "$1" $tagged integrity "$a" 0 - D 1 internal_hash:crc32c ;;
        bitmap) map "$1" $tagged integrity "$a" 0 - B 1 internal_hash:crc32c ;;
        cache)
            map "$1" "$data" cache "$m" "$b" "$a" 128 1 writeback smq 0
            # What is dirty when the machine dies, only the next boot writes back.
            [ -z "$(parameter new)" ] || dmsetup message "$1" 0 migration_threshold 0
            ;;
        writecache) map "$1" "$data" writecache s "$a" "$b" 4096 0 ;;
        era) map "$1" "$data" era "$m" "$a" 128 ;;
    esac
}

sum() {
    for part in a b m n; do
        dd if="$dm/$1-$part" iflag=direct bs=1M 2>/run/dd.log
    done | md5sum
}

if [ -n "$(parameter store-layer)" ]; then
    on_disk /dev/vdb 300032 # whole chunks of a striped one
    set_up store "$(parameter store-layer)"
fi
on_disk /dev/vdc 32768
layers=$(parameter layers | tr , ' ')
for layer in $layers; do
    set_up "$layer" "$layer"
done
if [ -n "$(parameter sums)" ]; then
    sleep 3
    for layer in $layers; do
        sum "$layer" | cmp -s - "/run/$layer.sum"
        report "changed-$layer=$?"
    done
fi
