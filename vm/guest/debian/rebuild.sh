#!/bin/sh
# Runs an initramfs generator in a copy of a guest's root while the guest is off:
# rebuild.sh DISK FOLDER COMMAND… The result is FOLDER/root/boot; the disk stays as it is. Emulated,
# a generator takes minutes. Started in a mount namespace of its own, which takes the mounts away.
set -e
disk=$1
folder=$2
shift 2
mkdir -p "$folder/below" "$folder/root" "$folder/memory" "$folder/boot"
mount -o loop,ro,noload "$disk" "$folder/below"
mount -t tmpfs memory "$folder/memory"
mkdir "$folder/memory/upper" "$folder/memory/work"
mount -t overlay -o "lowerdir=$folder/below,upperdir=$folder/memory/upper,workdir=$folder/memory/work" \
    overlay "$folder/root"
for generator in update-initramfs dracut; do # guests have a stand-in there that leaves it to us
    rm -f "$folder/root/usr/local/sbin/$generator"
done
unshare --pid --fork --kill-child "${0%/*}/chroot.sh" "$folder/root" "$@"
cp "$folder/root/boot"/initrd.img-* "$folder/boot/"
