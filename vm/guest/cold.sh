#!/bin/sh
# The scenario of a boot that ought to resume: it runs only if the boot did not.

. /guest/lib.sh
report "cold-boot swaps=$(grep -c /dev/ /proc/swaps)"
