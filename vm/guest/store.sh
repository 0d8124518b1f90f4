#!/bin/sh
# Makes a store of the second disk and hibernates to it, without any swap.

. /guest/memory.sh
fill_memory
torpor mkstore /dev/vdb >/run/mkstore
report "mkstore code=$?"
torpor mkstore /dev/vda 2>/run/refused
report "mkstore-root refused=$? because=$(tr ' ' _ </run/refused)"
ask before
torpor hibernate --store /dev/vdb --mode shutdown --verify
report "hibernate-exit code=$?"
ask after
stop_keeper
