#!/bin/bash
# Torpor's resumer as a module of dracut 059 and dracut-ng, with systemd in the initramfs or not.
# shellcheck disable=SC2154 # dracut sets moddir and systemd's folders

# shellcheck source=initramfs/dracut/store.sh
. "${BASH_SOURCE[0]%/*}/store.sh"
# shellcheck source=initramfs/dracut/network.sh
. "${BASH_SOURCE[0]%/*}/network.sh"

LIB=/usr/lib/torpor LOCATION=/var/lib/torpor/location SEALING=/var/lib/torpor/sealing

check() {
    [[ -e ${dracutsysrootdir-}$LIB/resume.needs ]] || return 1
    [[ ${hostonly-} || ${mount_needs-} ]] || return 0
    [[ -e ${dracutsysrootdir-}$LOCATION ]] || return 255 # only a host that resumes by us
    look_below_the_store
}

needs_of() { "${dracutsysrootdir-}$LIB/$1-needs" "${dracutsysrootdir-}"; } # sealing|server
seals_with() { grep -qsx "$1=yes" "${dracutsysrootdir-}$SEALING"; } # tpm2|ask

depends() {
    # A module of its own in newer dracut-ng, where base had it before.
    dracut_module_included systemd || [[ ! -d $(dracut_module_path initqueue) ]] || echo initqueue
    ! dracut_module_included systemd || ! seals_with ask || echo systemd-ask-password
    ! lies_on_a_server || network_modules
}

installkernel() {
    instmods -s efivarfs # where systemd says where the kernel's image is
    ! seals_with tpm2 || hostonly='' instmods -s tpm_tis tpm_crb
}

install() {
    local _file _files=() _lines=
    while read -r _file; do
        [[ -e ${dracutsysrootdir-}$_file ]] && _files+=("$_file") # else ldd finds it elsewhere
    done < <(cat "${dracutsysrootdir-}$LIB/resume.needs" && needs_of sealing && needs_of server)
    inst_multiple "$LIB/resume/torpor-resume" "${_files[@]}"
    inst_multiple -o "$LOCATION" mount udevadm
    install_for_servers
    [[ ! -f ${dracutsysrootdir-}/etc/machine-id ]] || inst /etc/machine-id /var/lib/torpor/machine-id
    [[ ${hostonly-} || ! ${torpor_luks-} ]] || _lines=$(lines_of_crypttab)
    [[ ! $_lines ]] || echo "$_lines" >> "$initdir/etc/crypttab"
    if [[ -e ${dracutsysrootdir-}$SEALING ]]; then # dracut's own resume would take an unsealed image
        mkdir -p "$initdir/etc/cmdline.d" && echo noresume > "$initdir/etc/cmdline.d/55torpor.conf"
    fi
    if dracut_module_included systemd; then
        inst_multiple -o systemctl \
            "$systemdsystemunitdir"/torpor-resume.service \
            "$systemdsystemunitdir"/systemd-hibernate-resume{,@}.service.d/torpor.conf \
            "$systemdutildir"/system-generators/torpor-resume-generator
        return
    fi
    inst_hook initqueue/settled 00 "$moddir/torpor-wait.sh"
    inst_hook initqueue/finished 000 "$moddir/torpor-wait.sh" # before 00resume
    inst_hook pre-mount 05 "$moddir/torpor-resume.sh"         # before 10-resume
    dracut_need_initqueue
}
