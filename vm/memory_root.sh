#!/bin/sh
# memory_root.sh FOLDER CMDLINE COMMAND…: run COMMAND where the root is in memory and holds the files
# below FOLDER/files, the kernel was given CMDLINE, and /dev has what FOLDER/devices lists, as mknod
# takes it. To be run by `unshare --mount`. $AROUND are words that run it from outside.
set -eu

folder=$1 root=$1/root cmdline=$2
shift 2
mkdir -p "$root"
mount -t tmpfs tmpfs "$root"
cp -a "$folder/files/." "$root"
mkdir -p "$root/proc" "$root/dev" "$root/sys/class/block" "$root/run" "$root/tmp"
mount --rbind /proc "$root/proc"
echo "$cmdline" >"$root/tmp/cmdline"
mount --bind "$root/tmp/cmdline" "$root/proc/cmdline"
while read -r name kind major minor; do
    mknod -m 666 "$root/dev/$name" "$kind" "$major" "$minor"
done <"$folder/devices"
# shellcheck disable=SC2086 # they are words
exec env -i PATH=/bin:/usr/bin:/sbin:/usr/sbin ${AROUND-} chroot "$root" "$@"
