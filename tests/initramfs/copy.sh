#!/bin/sh
# copy.sh TREE RESULT COMMAND…: run COMMAND in a copy of this system that holds the files of TREE,
# too. Only what it writes below the folder RESULT stays. To be run by `unshare --mount`.
set -eu

tree=$1 result=$2
shift 2
mkdir "$result/copy"
mount -t tmpfs tmpfs "$result/copy"
mkdir "$result/copy/upper" "$result/copy/work" "$result/copy/root"
cd "$result/copy"
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
for place in /proc /dev "$result"; do
    mkdir -p "root$place"
    mount --rbind "$place" "root$place"
done
cp -a "$tree/." root/
exec chroot root "$@"
