#!/bin/sh
# A hibernation in which a disk stops answering, as the host sees to before it: stalls= says when
# that shows. freezing: it is the third disk's, whose file system is frozen. writing: the store's,
# which nothing is written to before the image. snapshot: the store's, which the kernel swaps out to.

. /guest/goes-on.sh
echo "stall-timeout = 10" >/etc/torpor.conf
prepare "$(findfs "$(parameter resume)")"
mount -t ext4 /dev/vdc /mnt
dd if=/dev/urandom of=/mnt/file bs=4096 count=50 2>/run/dd.log
sync
name=$(parameter stalls)
size=max
[ "$name" = writing ] || size=0

# Tell as soon as the machine goes on, though the writer does not yet.
see_it_go_on() {
    until dmesg | grep -q 'nothing has got on'; do sleep 0.2; done
    echo "$1" >>/root/written
    ask "early-$1"
}

report "armed=$name"
sleep 3
see_it_go_on "$name" &
seeing=$!
torpor hibernate --image-size $size 2>/run/said
tell "$name" $?
wait $seeing
finish
