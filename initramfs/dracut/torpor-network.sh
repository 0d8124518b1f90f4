#!/bin/sh
# Asks dracut for the network where the kernel command line says nothing of it: a store lies on a
# server. Sourced as a hook of cmdline, and again of pre-udev: network-legacy would have the boot wait
# for it until the emergency shell. systemd-networkd needs no asking, and would wait 120 s.
# DHCP may take as long as the resumer waits. network-legacy asks twice, and the loop stands still
# meanwhile; where dhclient has no --timeout, its own is a minute.

torpor_asked=/etc/cmdline.d/55torpor-network.conf
# shellcheck disable=SC2154 # dracut sets hookdir
torpor_job=$hookdir/initqueue/finished/wait-network.sh
if [ -e $torpor_asked ]; then
    if [ -e "$torpor_job" ]; then
        read -r torpor_up _ </proc/uptime
        cat >"$torpor_job" <<JOB
for i in /tmp/net.*.did-setup; do [ ! -f "\$i" ] || exit 0; done
read -r up _ </proc/uptime
[ "\${up%.*}" -ge $((${torpor_up%.*} + 15)) ]
JOB
    fi
elif [ ! -e /usr/lib/systemd/systemd-networkd ] && ! getarg ip= >/dev/null &&
    ! getarg BOOTIF= >/dev/null && ! getarg netroot= >/dev/null; then
    torpor_time=45
    ! getarg resumewait >/dev/null || torpor_time=300
    torpor_time=$(getargnum $torpor_time 0 3600 torpor.timeout=)
    [ "$torpor_time" -ge 2 ] || torpor_time=2 # 0 would be no limit
    if [ -e /etc/dhclient.conf ]; then
        torpor_time=$((torpor_time / 2))
        echo "timeout $torpor_time;" >>/etc/dhclient.conf
    fi
    mkdir -p /etc/cmdline.d
    echo "rd.neednet=1 ip=dhcp rd.net.timeout.dhcp=$torpor_time" >$torpor_asked
fi
return 0
