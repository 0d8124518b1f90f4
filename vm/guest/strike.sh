#!/bin/sh
# Run by the initramfs: sends the resumer the signal of strike= as soon as it loads an image.

strike() {
    until dmesg | grep -q 'torpor-resume: loading'; do
        sleep 0.05
    done
    kill "-$1" "$(pidof torpor-resume)"
}

read -r line </proc/cmdline
for word in $line; do
    case $word in
        strike=*) strike "${word#strike=}" & ;;
    esac
done
