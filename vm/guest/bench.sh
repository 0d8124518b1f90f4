#!/bin/sh
# Hibernates once by each way that ways= names, with the same memory each time and a fresh swap
# for each (vdc, vdd, …): torpor, or the kernel itself with that compressor. Meanwhile a process
# answers.

. /guest/lib.sh
compressor=/sys/module/hibernate/parameters/compressor
image_size=3221225472 # as much as the kernel allows: nothing is thrown away for the snapshot

# What the data disk holds as memory of processes, and its beginning as page cache, too.
fill() {
    mount -t tmpfs -o size=90% data /mnt
    dd if=/dev/vdb of=/mnt/data bs=1M iflag=direct 2>/run/dd.log
    dd if=/dev/vdb of=/dev/null bs=1M count=64 2>/run/dd.log
    md5sum </mnt/data
}

# Says each twentieth of a second that it runs; after a resume, as soon as it runs again.
answer() {
    mkfifo /tmp/silent
    exec 3<>/tmp/silent
    while :; do
        echo alive >/dev/ttyS1
        # shellcheck disable=SC3045 # busybox has it, and starts no process as for sleep
        read -r -t 0.05 _ <&3
    done
}

hibernate() {
    case $1 in
        torpor) torpor hibernate --mode shutdown --image-size "$image_size" --store "$swap" ;;
        *)
            [ ! -e $compressor ] || echo "$1" >$compressor || return 1
            echo disk >/sys/power/state
            ;;
    esac
}

echo shutdown >/sys/power/disk
echo $image_size >/sys/power/image_size
before=$(fill)
answer &
set -- /dev/vdc /dev/vdd /dev/vde
for way in $(parameter ways | tr , ' '); do
    swap=$1
    shift
    swapon "$swap"
    report "hibernating way=$way"
    hibernate "$way"
    code=$?
    [ "$(md5sum </mnt/data)" = "$before" ]
    report "returned way=$way code=$code data-differs=$?"
    swapoff "$swap"
done
kill $!
