#!/bin/sh
# A hook of initramfs-tools that has a root on NFS mounted by mount.nfs4, for klibc's nfsmount, which
# knows version 3 alone. It is called as `nfsmount -o nolock -o rw -o OPTIONS SHARE FOLDER`.
[ "$1" != prereqs ] || { echo klibc-utils && exit; }
# shellcheck source=/dev/null
. /usr/share/initramfs-tools/hook-functions
copy_exec /sbin/mount.nfs4
cp /etc/netconfig "$DESTDIR/etc/"
rm -f "$DESTDIR/bin/nfsmount"
# shellcheck disable=SC2016 # expanded when it runs
printf '#!/bin/sh\nexec mount.nfs4 "$7" "$8" -o "$6"\n' >"$DESTDIR/bin/nfsmount"
chmod +x "$DESTDIR/bin/nfsmount"
