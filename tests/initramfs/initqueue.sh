#!/bin/sh
# What the init of dracut does from the initqueue to pre-mount (059, modules.d/99base/init.sh), with
# fewer and shorter turns. $LATER is a command to run beside it.
check_finished() {
    for finished in /finished/*.sh; do
        # shellcheck source=/dev/null
        (. "$finished") || return 1
    done
}
cancel_wait_for_dev() {
    : >/cancelled
}
main_loop=0
sh -c "${LATER-}" &
while :; do
    check_finished && break
    for job in /settled/*.sh; do
        # shellcheck source=/dev/null
        . "$job"
        check_finished && break 2
    done
    sleep 0.1
    main_loop=$((main_loop + 1))
    [ "$main_loop" -le 5 ] || { echo emergency && break; }
done
[ ! -e /cancelled ] || echo cancelled
# shellcheck source=/dev/null
. /pre-mount.sh
