#!/bin/sh
# Hibernations that fail late, and leave a machine that goes on: a power-off that returns, a writer
# that the host kills once the mark is on the disk, a task that does not freeze.

# shellcheck source=/dev/null
. /guest/memory.sh
swap=$(findfs "$(parameter resume)")
groups=/sys/fs/cgroup

# Say how it went, whether the swap's header is as before, what is frozen still, and that the root
# takes writes.
tell() {
    sleep 1 # the watchdog undoes the rest once it is awake
    echo "$1" >>/root/writable
    sync
    dd if="$swap" of=/run/header.after bs=4096 count=1 iflag=direct 2>/run/dd.log
    cmp -s /run/header /run/header.after
    report "ended=$1 exit-$1=$2 header-differs-$1=$? written-$1=$(tail -n 1 /root/writable)" \
        "frozen-$1=$(cat $groups/*/cgroup.freeze | grep -c 1)"
    ask "alive-$1"
}

mkdir /run/data
dd if=/dev/urandom of=/run/data/random bs=1M count=8 2>/run/dd.log
start_keeper
mount -t cgroup2 none $groups
mkdir $groups/keeper $groups/stuck
echo "${keeper:?}" >$groups/keeper/cgroup.procs
swapon "$swap"
dd if="$swap" of=/run/header bs=4096 count=1 iflag=direct 2>/run/dd.log
ask before

/usr/bin/setpriv --bounding-set=-sys_boot torpor hibernate --mode shutdown --image-size 0 2>/run/said
tell power-off $?
report "said-power-off=$(head -n 1 /run/said | tr ' ' _)"

setsid -c sh -c 'trap : QUIT; torpor hibernate --verify --image-size 0; echo $? >/run/exit' \
    </dev/ttyS0 >/dev/ttyS0 2>&1
tell killed "$(cat /run/exit)"

# A task that writes to a frozen file system waits without an end: it can be neither frozen by its
# cgroup nor by the kernel. What runs in the root cgroup sees the keeper's cgroup stop meanwhile.
mke2fs -F /dev/vdc >/run/mke2fs.log 2>&1
mount -t ext4 /dev/vdc /mnt
fsfreeze --freeze /mnt
(
    sh -c "echo \$\$ >$groups/stuck/cgroup.procs; exec cp /run/header /mnt/file"
) &
writer=$!
echo 3000 >/sys/power/pm_freeze_timeout
(
    until grep -q 'frozen 1' $groups/keeper/cgroup.events; do sleep 0.2; done
    report "keeper-was-frozen=1"
) &
torpor hibernate --image-size 0 2>/run/said
tell stuck $?
report "said-stuck=$(head -n 1 /run/said | tr ' ' _)"
fsfreeze --unfreeze /mnt
wait "$writer"
umount /mnt
swapoff "$swap"
report "swapoff=$?"
stop_keeper
