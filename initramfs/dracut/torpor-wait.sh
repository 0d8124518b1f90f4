#!/bin/sh
# Keeps the initqueue going until the store's device is there or its time is over, even if the root
# came first: LUKS and LVM are opened in this loop. Sourced, both as a job that says whether the
# loop may end and as one of the settled queue, the only kind that can put off the loop's own end.

if /usr/lib/torpor/torpor-boot --ready; then
    cancel_wait_for_dev /dev/resume # the stock module's own wait, 120 s
    return 0
fi
# shellcheck disable=SC2034 # counts the turns to the emergency shell, which is for the root's sake
main_loop=0
return 1
