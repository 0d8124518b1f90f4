#!/bin/sh
# As many hibernations as signals= has numbers: each gets that signal when the host types a line.

. /guest/goes-on.sh
prepare /dev/vdb
attempt=0
for signal in $(parameter signals | tr , ' '); do
    attempt=$((attempt + 1))
    torpor hibernate --verify 2>/run/said &
    hibernation=$!
    perl /guest/signal.pl $hibernation "$signal" &
    trigger=$!
    sleep 0.5
    report "armed=$attempt"
    wait $hibernation
    code=$?
    kill $trigger
    tell "$attempt" "$code"
done
finish
