#!/bin/bash
# A store or a root on a server: sourced by module-setup.sh.
# shellcheck disable=SC2154 # LIB and LOCATION are set there, the others by dracut

lies_on_a_server() { grep -qs '^resume=s3+' "${dracutsysrootdir-}$LOCATION"; }

# Whether dracut's queue connects disks.
connects_disks() {
    local _module
    for _module in iscsi nbd nvmf fcoe; do
        ! dracut_module_included $_module || return 0
    done
    return 1
}

mounts_from_a_server() { dracut_module_included nfs || dracut_module_included cifs; }

install_for_servers() {
    ! lies_on_a_server || install_network
    ! mounts_from_a_server || inst_hook netroot 05 "$moddir/torpor-netroot.sh"
    dracut_module_included systemd && connects_disks || return 0
    inst_hook initqueue/settled 00 "$moddir/torpor-queue.sh"
    inst_hook initqueue/finished 000 "$moddir/torpor-queue.sh"
}

# Print the modules that bring it up: by systemd, NetworkManager, or else dhclient.
network_modules() {
    dracut_module_included systemd || ! type -P dhclient > /dev/null || echo network-legacy
    echo network
}

# What asks for it at a boot, and what bounds how long others wait for it.
install_network() {
    local _unit
    inst_hook cmdline 05 "$moddir/torpor-network.sh"
    inst_hook pre-udev 61 "$moddir/torpor-network.sh" # after net-genrules
    dracut_module_included systemd || return 0
    inst_simple "$LIB/zz-torpor.network" /usr/lib/systemd/network/zz-torpor.network
    for _unit in nm-wait-online-initrd NetworkManager-wait-online-initrd; do # an hour
        mkdir -p "$initdir$systemdsystemunitdir/$_unit.service.d"
        printf '[Service]\nTimeoutStartSec=15s\n' \
            > "$initdir$systemdsystemunitdir/$_unit.service.d/torpor.conf"
    done
}
