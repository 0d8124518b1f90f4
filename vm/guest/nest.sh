#!/bin/sh
# Run in a mount namespace of its own: mounts the third disk, and a file system in a file on it, which
# the list of mounts has before the one that holds the file. Both stay until /run/enough is there.
set -e

mount -t ext4 /dev/vdc /mnt/first
dd if=/dev/zero of=/mnt/first/inner bs=1M count=16
mke2fs -F /mnt/first/inner
mount -t ext4 -o loop /mnt/first/inner /mnt/inner
mount -o bind /mnt/first /mnt/outer
umount -l /mnt/first # the loop device has the file open there
echo kept >/mnt/inner/kept
touch /run/ready
until [ -e /run/enough ]; do sleep 0.2; done
[ "$(cat /mnt/inner/kept)" = kept ]
echo more >/mnt/inner/more
umount /mnt/inner
umount /mnt/outer
