#!/bin/sh
# Hibernates once to the swap that resume= names, with memory worth saving.

# shellcheck source=/dev/null
. /guest/memory.sh
start_keeper
fill_memory
swapon "$(findfs "$(parameter resume)")"
ask "before uptime=$(uptime)"
torpor hibernate
report "hibernate-exit code=$? uptime=$(uptime)"
ask "after swaps=$(grep -c /dev/ /proc/swaps)"
stop_keeper
