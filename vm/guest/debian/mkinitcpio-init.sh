#!/usr/bin/ash
# shellcheck shell=dash
# /init of a guest whose initramfs a stand-in for mkinitcpio made: what the init of mkinitcpio does
# that a runtime hook of ours could notice, in its order (docs/INITRAMFS.md). The modules are those
# of other guests, and nothing is checked.

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
cat /proc/cmdline >/tmp/cmdline

# shellcheck source=/dev/null
. /config
while read -r module; do
    insmod "/modules/$module.ko"
done </modules/order

# shellcheck disable=SC2153 # of /config
for hook in $HOOKS; do
    [ -x "/hooks/$hook" ] || continue
    unset -f run_hook
    # shellcheck source=/dev/null
    . "/hooks/$hook"
    echo ":: running hook [$hook]"
    run_hook
done

read -r line </proc/cmdline
for word in $line; do
    case $word in
        root=*) root=${word#root=} ;;
        ro | rw) access=$word ;;
    esac
done
mount -t ext4 -o "${access:-ro}" "$root" /new_root || exit 1
for place in proc sys dev run; do
    mount -o move "/$place" "/new_root/$place"
done
exec switch_root /new_root /sbin/init
