#!/bin/sh
# Serves the files of an ext4 image: nfs.sh IMAGE FOLDER CONFIGURATION. To be run by
# `unshare --mount`: the mount ends with the server.
set -e
mount -o loop "$1" "$2"
exec ganesha.nfsd -F -f "$3" -L "$2.log" -p "$2.pid"
