#!/bin/sh
# Keeps the initqueue going while torpor-resume.service waits for the store's device: what connects
# disks of servers runs in this queue, which a root that is there already would end. Sourced, both as
# a job that says whether the loop may end and as one of the settled queue, as torpor-wait.sh.

[ "$(systemctl is-active torpor-resume.service)" = activating ] || return 0
# shellcheck disable=SC2034 # counts the turns to the emergency shell, for the root's sake
main_loop=0
return 1
