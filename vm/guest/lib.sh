#!/bin/sh
# What the guest scripts share.

# Tell the host one line.
report() {
    echo "$*" >/dev/ttyS1
}

# The value of NAME=value on the kernel command line.
parameter() {
    read -r line </proc/cmdline
    for word in $line; do
        case $word in
            "$1="*) echo "${word#*=}" ;;
        esac
    done
}

boot_id() {
    cat /proc/sys/kernel/random/boot_id
}

uptime() {
    cut -d ' ' -f 1 /proc/uptime
}
