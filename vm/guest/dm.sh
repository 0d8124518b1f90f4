#!/bin/sh
# Run by the initramfs: makes /dev/mapper/store of the table in dm=, with commas for spaces and a
# plus between lines.

. /guest/lib.sh
export DM_DISABLE_UDEV=1
table=$(parameter dm)
[ -z "$table" ] || echo "$table" | tr ',+' ' \n' | dmsetup create store
