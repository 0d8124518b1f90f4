#!/bin/sh
# build.sh NAME: build the source package /root/NAME.dsc without a network, judge what comes out,
# install it and run the first of its own tests. To be run in a root that has its Build-Depends.
set -eu

mkdir /dev/pts
mount -t devpts -o newinstance,ptmxmode=666 devpts /dev/pts
ln -s pts/ptmx /dev/ptmx
cd /root
dpkg-source --extract "$1.dsc" source
cd source
unshare --net dpkg-buildpackage --unsigned-source --unsigned-changes
# Not the .changes: who is named there has no address yet.
lintian --allow-root --fail-on error,warning ../*.dsc ../*.deb
dpkg --install ../*.deb
mkdir /tmp/autopkgtest
AUTOPKGTEST_TMP=/tmp/autopkgtest debian/tests/verify
