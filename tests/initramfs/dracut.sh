#!/bin/sh
# dracut.sh RESULT MODULES [OPTION…]: build an initramfs with the real dracut, without a kernel, and
# unpack it to RESULT/tree. To be run on a copy of this system. Debian's dracut-network has `ifcfg` in
# every image, which brings the network and systemd.
set -eu

result=$1 modules=$2
shift 2
mkdir -p /var/tmp "$result/tree"
dracut --no-kernel --no-compress --no-hostonly --kver 0 --omit ifcfg --modules "$modules" \
    "$@" "$result/image" \
    >"$result/log" 2>&1 || { cat "$result/log" && exit 1; }
grep -i 'error\|failed' "$result/log" && exit 1
cd "$result/tree"
cpio --extract --make-directories --quiet <"$result/image"
