#!/bin/sh
# dracut.sh CHECK MODULES [OPTION…]: install the package, build an initramfs by dracut, without a
# kernel, and look for all that the resumer needs in it by the script CHECK. To be run in a root.
set -eu

check=$1 modules=$2
shift 2
if [ ! -e /usr/bin/torpor ]; then
    dpkg --install /root/torpor.deb
    mkdir -p /var/lib/torpor
    echo "resume=UUID=0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0" >/var/lib/torpor/location
fi
rm -rf /tmp/tree
mkdir -p /tmp/tree
dracut --force --no-kernel --no-compress --kver 0 --modules "$modules" "$@" /tmp/image
cd /tmp/tree
cpio --extract --make-directories --quiet </tmp/image
"$check" /tmp/tree
