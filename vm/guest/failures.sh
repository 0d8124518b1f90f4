#!/bin/sh
# Hibernations that fail late, and leave a machine that goes on: a power-off that returns, a writer
# that the host kills once the mark is on the disk, a task that does not freeze, file systems that no
# list of mounts has, and devices that a process or the kernel itself writes to.

. /guest/goes-on.sh
prepare "$(findfs "$(parameter resume)")"

# The disk has a partition, but all of it is used, as by dmraid or multipath: no reason to refuse.
export DM_DISABLE_UDEV=1
echo '0 20480 linear /dev/vdc 0' | dmsetup create whole
mke2fs -F /dev/mapper/whole >/run/mke2fs.log 2>&1
mount -t ext4 /dev/mapper/whole /mnt
/usr/bin/setpriv --bounding-set=-sys_boot torpor hibernate --mode shutdown --image-size 0 2>/run/said
tell power-off $?
umount /mnt
dmsetup remove whole

: >/run/said
setsid -c sh -c 'trap : QUIT; torpor hibernate --verify --image-size 0; echo $? >/run/exit' \
    </dev/ttyS0 >/dev/ttyS0 2>&1
tell killed "$(cat /run/exit)"

# A task that writes to a frozen file system waits without an end: it can be neither frozen by its
# cgroup nor by the kernel. What runs in the root cgroup sees the keeper's cgroup stop meanwhile.
mkdir "${groups:?}/stuck"
mke2fs -F /dev/vdc >/run/mke2fs.log 2>&1
mount -t ext4 /dev/vdc /mnt
fsfreeze --freeze /mnt
(
    sh -c "echo \$\$ >$groups/stuck/cgroup.procs; exec cp /run/header /mnt/file"
) &
writer=$!
echo 3000 >/sys/power/pm_freeze_timeout
(
    until grep -q 'frozen 1' "$groups/keeper/cgroup.events"; do sleep 0.2; done
    report "keeper-was-frozen=1"
) &
torpor hibernate --image-size 0 2>/run/said
tell stuck $?
fsfreeze --unfreeze /mnt
wait "$writer"
umount /mnt

# Mounted where no list of mounts has it: one that is in use and was unmounted lazily, and one below
# an overlay.
mount -t ext4 /dev/vdc /mnt
exec 3>/mnt/file
umount -l /mnt
torpor hibernate --image-size 0 2>/run/said
tell lazily $?
exec 3>&-

mount -t ext4 /dev/vdc /mnt
mkdir /mnt/upper /mnt/work /run/overlay
mount -t overlay -o lowerdir=/guest,upperdir=/mnt/upper,workdir=/mnt/work none /run/overlay
umount /mnt
torpor hibernate --image-size 0 2>/run/said
tell below-overlay $?
umount /run/overlay

# Written to without a file system: by a process, as by a virtual machine, and for other machines.
sleep 1000 3<>/dev/vdc &
writer=$!
torpor hibernate --image-size 0 2>/run/said
tell written $?
kill "$writer"

mount -t configfs none /sys/kernel/config
share=/sys/kernel/config/nvmet/subsystems/disk/namespaces/1
mkdir -p "${share%/namespaces/1}"
mkdir "$share"
printf /dev/vdc >"$share/device_path"
echo 1 >"$share/enable"
torpor hibernate --image-size 0 2>/run/said
tell shared-nvme $?
rmdir "$share"

share=/sys/kernel/config/target/core/fileio_0/disk
mkdir -p "$share"
printf 'fd_dev_name=/dev/vdc,fd_dev_size=16777216' >"$share/control"
echo 1 >"$share/enable"
torpor hibernate --image-size 0 2>/run/said
tell shared-scsi $?
rmdir "$share"
report "partition=$(cat /sys/class/block/vdc1/partition)"
finish
