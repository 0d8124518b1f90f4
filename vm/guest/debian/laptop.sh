#!/bin/sh
# Puts this Debian on the disk of a laptop: laptop.sh DISK SOURCE PASSPHRASE. SOURCE has its root
# file system. As Debian's installer does with "use entire disk and set up encrypted LVM": an EFI
# system partition, /boot, and LUKS with a volume group in it for root and swap, in its names, too.
set -ex
disk=$1 source=$2 passphrase=$3
group=debian-vg crypt=nvme0n1p3_crypt root=/mnt

sfdisk -q "$disk" <<TABLE
label: gpt
start=1M, size=320M, type=uefi
start=321M, size=256M, type=linux
type=linux
TABLE
udevadm settle
mkfs.vfat -F 32 "${disk}1"
mke2fs -q -t ext4 "${disk}2"
# argon2 would take an emulated processor minutes.
printf %s "$passphrase" | cryptsetup -q luksFormat --type luks2 \
    --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "${disk}3" -
printf %s "$passphrase" | cryptsetup open --key-file - "${disk}3" $crypt
pvcreate /dev/mapper/$crypt
vgcreate $group /dev/mapper/$crypt
lvcreate -Wn -Zn -L 2048M -n root $group
lvcreate -Wn -Zn -L 1024M -n swap_1 $group
mkswap /dev/$group/swap_1
e2image -ra "$source" /dev/$group/root
e2fsck -fy /dev/$group/root || [ $? -eq 1 ]

mount /dev/$group/root $root
rm -r "${root:?}/boot"
mkdir $root/boot
mount "${disk}2" $root/boot
cp -a /boot/. $root/boot
mkdir $root/boot/efi
mount "${disk}1" $root/boot/efi

uuid() { blkid -s UUID -o value "$1"; }
cat >$root/etc/fstab <<TABLE
/dev/mapper/debian--vg-root / ext4 errors=remount-ro 0 1
UUID=$(uuid "${disk}2") /boot ext4 defaults 0 2
UUID=$(uuid "${disk}1") /boot/efi vfat umask=0077 0 1
/dev/mapper/debian--vg-swap_1 none swap sw 0 0
TABLE
echo "$crypt UUID=$(uuid "${disk}3") none luks,discard" >$root/etc/crypttab
echo RESUME=/dev/mapper/debian--vg-swap_1 >$root/etc/initramfs-tools/conf.d/resume
cat >$root/etc/default/grub <<SETTINGS
GRUB_DEFAULT=0
GRUB_TIMEOUT=0
GRUB_CMDLINE_LINUX_DEFAULT=
GRUB_CMDLINE_LINUX=console=ttyS0
GRUB_TERMINAL=console
SETTINGS

for folder in dev proc sys; do
    mount --bind /$folder $root/$folder
done
chroot $root grub-install --target=x86_64-efi --efi-directory=/boot/efi --removable --no-nvram
chroot $root update-grub
chroot $root update-initramfs -u
umount -R $root
vgchange -an $group
cryptsetup close $crypt
