#!/bin/sh
# What an NFS server consists of, each to be run by `unshare --mount --net` or `unshare --mount`, so
# that mounts end with it, and the machine's own port 111 is left alone:
# nfs.sh FOLDER names                        rpcbind, which version 3 registers with
# nfs.sh FOLDER serve IMAGE CONFIGURATION    nfs-ganesha, for the files of an ext4 image
set -e
folder=$1
mount --bind "$folder.run" /run
case $2 in
    names) exec rpcbind -f ;;
    serve)
        until [ -S /run/rpcbind.sock ]; do sleep 0.1; done
        mount -o loop "$3" "$folder"
        exec ganesha.nfsd -F -f "$4" -L "$folder.log" -p "$folder.pid"
        ;;
esac
