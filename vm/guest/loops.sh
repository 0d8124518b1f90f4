#!/bin/sh
# Hibernates with a file system in a file of another one, both of which only a process in another
# mount namespace sees, the inner one first in its list; and not with swap on a loop device.

. /guest/memory.sh
keep 8
mkdir /mnt/first /mnt/outer /mnt/inner
unshare -m sh /guest/nest.sh >/run/nest.log 2>&1 &
nest=$!
until [ -e /run/ready ]; do sleep 0.2; done

dd if=/dev/zero of=/root/swap bs=1M count=16 2>/run/dd.log
mkswap /root/swap >/run/mkswap
losetup /dev/loop5 /root/swap
swapon /dev/loop5
swapon /dev/vdb
torpor hibernate --store /dev/vdb 2>/run/said
report "on-loop=$? said=$(grep '^torpor: the' /run/said | tr ' ' _)"
torpor hibernate --store /dev/loop5 2>/run/said
report "to-loop=$? said=$(grep '^torpor: /dev' /run/said | tr ' ' _)"
swapoff /dev/loop5
losetup -d /dev/loop5
ask before
torpor hibernate
report "hibernate-exit code=$?"
touch /run/enough
wait $nest
report "nest=$?"
ask after
stop_keeper
