#!/bin/sh
# Run by the initramfs: waits for the device that await= names.

. /guest/lib.sh
device=$(parameter await)
until [ -z "$device" ] || [ -b "$device" ]; do
    sleep 0.2
done
