#!/bin/sh
# Hibernates once to the swap that resume= names, with memory worth saving and files worth having in
# memory, but as little of both in the image as the kernel can: the rest is for the working set.

. /guest/memory.sh
fill_memory
swapon "$(findfs "$(parameter resume)")"
find /usr /bin -type f -exec cat {} + >/dev/null
ask "before uptime=$(uptime) cached=$(cached)"
torpor hibernate --image-size min
report "hibernate-exit code=$? uptime=$(uptime) cached-first=$(cached)"
wait_for_replay
report "replayed cached-again=$(cached) said: $(torpor status | tail -n 1)"
ask "after swaps=$(grep -c /dev/ /proc/swaps)"
stop_keeper
