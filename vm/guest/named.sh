#!/bin/sh
# Names places to the kernel where an image of its own could be, in a running system, and tells what
# came of each: the code that its log has, and what it calls the place then.

. /guest/lib.sh

# name WHAT DEVICE
name() {
    dmesg -c >/dev/null
    echo "$2" 2>/dev/null >/sys/power/resume
    code=$(dmesg | sed -n 's/.*PM: Image not found (code \(.*\))$/\1/p')
    report "$1-code=$code $1-named=$(cat /sys/power/resume)"
}

swapon /dev/vdb
name nowhere 0:1
name in-use "$(cat /sys/class/block/vdb/dev)"
name none 0:0
swapoff /dev/vdb && swapon /dev/vdb
report "swapped-on-again=$?"
