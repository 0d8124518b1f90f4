#!/bin/sh
# mkinitramfs.sh RESULT SETTINGS: build an initramfs with the real mkinitramfs, for a kernel without
# modules, and unpack it to RESULT/tree. To be run on a copy of this system.
set -eu

result=$1 version=6.1.0
mkdir -p /var/tmp /etc/initramfs-tools/conf.d "$result/tree" "/lib/modules/$version/kernel"
cd "/lib/modules/$version"
touch modules.order modules.builtin modules.builtin.modinfo
depmod "$version"
printf 'CONFIG_RD_%s=y\n' GZIP ZSTD >"/boot/config-$version"
printf 'MODULES=list\nCOMPRESS=gzip\nRESUME=none\n%s\n' "$2" >/etc/initramfs-tools/conf.d/test
mkinitramfs -o "$result/image" "$version"
unmkinitramfs "$result/image" "$result/tree"
