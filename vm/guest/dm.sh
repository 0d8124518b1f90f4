#!/bin/sh
# Run by the initramfs: makes /dev/mapper/store of the table in dm=, with commas for spaces and a
# plus between lines.

export DM_DISABLE_UDEV=1
read -r line </proc/cmdline
for word in $line; do
    case $word in
        dm=*) echo "${word#dm=}" | tr ',+' ' \n' | dmsetup create store ;;
    esac
done
