#!/bin/sh
# Run by the initramfs: makes a device in /dev/mapper of the table in dm=, with commas for spaces
# and a plus between lines; it is called store, or what dm-name= says.

. /guest/lib.sh
export DM_DISABLE_UDEV=1
table=$(parameter dm)
name=$(parameter dm-name)
[ -z "$table" ] || echo "$table" | tr ',+' ' \n' | dmsetup create "${name:-store}"
