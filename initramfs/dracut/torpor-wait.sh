#!/bin/sh
# Keeps the initqueue going until the store's device is there or its time is over, even if the root
# came first: LUKS and LVM are opened in this loop. Sourced, both as a job that says whether the
# loop may end and as one of the settled queue, the only kind that can put off the loop's own end.

torpor=/run/torpor torpor_name='' torpor_state=''
[ -e $torpor/waited ] || [ -e $torpor/waiter ] || /usr/lib/torpor/resume/torpor-resume --wait
if [ ! -e $torpor/waited ] && [ -e $torpor/waiter ]; then
    : >$torpor/turns # while the loop stands still somebody is asked for a passphrase
    read -r torpor_pid <$torpor/waiter
    { read -r _ torpor_name torpor_state _ <"/proc/$torpor_pid/stat"; } 2>/dev/null
fi
case $torpor_name$torpor_state in
    '(torpor-resume)'[!ZX]) # it waits, and has neither ended nor crashed
        # shellcheck disable=SC2034 # counts the turns to the emergency shell, for the root's sake
        main_loop=0
        return 1
        ;;
esac
cancel_wait_for_dev /dev/resume # the stock module's own wait, 120 s
return 0
