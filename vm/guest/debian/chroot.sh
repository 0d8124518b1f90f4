#!/bin/sh
# Runs a command in a root below a folder of the host: chroot.sh FOLDER COMMAND… Started in mount
# and process namespaces of its own, so that nothing it mounts or leaves running outlives it.
set -e
folder=$1
shift
mount -t proc proc "$folder/proc"
mount -t tmpfs -o mode=755 dev "$folder/dev"
for name in null zero full random urandom tty; do
    : >"$folder/dev/$name"
    mount --bind "/dev/$name" "$folder/dev/$name"
done
ln -s /proc/self/fd "$folder/dev/fd"
exec chroot "$folder" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
    LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
