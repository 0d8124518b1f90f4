#!/bin/sh
# A Ceph of one disk, in memory, with an S3 gateway: the first process of namespaces of its own,
# which end with it. usage: ceph.sh ROOT FOLDER
set -eu
root=$1 folder=$2
mount --bind "$folder" "$root/cluster"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
export PATH=/usr/bin:/usr/sbin:/bin:/sbin HOME=/ CEPH_CONF=/cluster/ceph.conf
setting() { sed -n "s/^$1 = //p" "$folder/ceph.conf"; }
within() { chroot "$root" "$@"; }

uuid=$(cat /proc/sys/kernel/random/uuid)
within monmaptool --create --fsid "$(setting fsid)" --addv a "[$(setting 'mon host')]" /cluster/monmap
within ceph-mon -i a --mkfs --monmap /cluster/monmap
within ceph-mon -f -i a &
within ceph-osd -i 0 --mkfs --osd-uuid "$uuid"
within ceph osd new "$uuid"
within ceph-osd -f -i 0 &
(umask 077 && within radosgw-admin user create --uid torpor --display-name torpor > "$folder/user")
exec chroot "$root" radosgw -f -n client.rgw
