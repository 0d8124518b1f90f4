#!/bin/bash
# Torpor's resumer as a module of dracut 059 and dracut-ng, with systemd in the initramfs or not.
# shellcheck disable=SC2154 # dracut sets moddir and systemd's folders

LIB=/usr/lib/torpor LOCATION=/var/lib/torpor/location

check() {
    [[ -e ${dracutsysrootdir-}$LIB/resume.needs ]] || return 1
    [[ ${hostonly-} || ${mount_needs-} ]] || return 0
    [[ -e ${dracutsysrootdir-}$LOCATION ]] || return 255 # only a host that resumes by us
    look_below_the_store
}

# Tell the modules for LUKS and LVM what to open; not by host_devs, which each boot would wait for.
look_below_the_store() {
    local _dev
    _dev=$(expand_persistent_dev "$(sed -n 's/^resume=//p' "${dracutsysrootdir-}$LOCATION")")
    [[ $_dev == *:* && -e /dev/block/$_dev ]] && _dev=/dev/block/$_dev
    [[ -b $_dev ]] && declare -F _get_fs_type > /dev/null || return 0
    check_block_and_slaves_all _get_fs_type "$(get_maj_min "$_dev")" || :
}

# A generic image has no crypttab: print the lines that open the store, or all if dracut will not take
# its own along since there is one. With paths: its shell cannot tell a named device by its UUID.
lines_of_crypttab() {
    local _names=${torpor_luks// /\\|} _tag='([A-Z]+)=(["'\'']?)([[:alnum:]._:-]+)\3(\s|$)'
    [[ " ${install_items-} ${install_optional_items-} " != *" /etc/crypttab "* ]] || _names='[^#].*'
    grep "^\($_names\)[[:space:]]" "${dracutsysrootdir-}/etc/crypttab" |
        sed -E "s#^(\S+\s+)$_tag#\1/dev/disk/by-\L\2\E/\4\5#"
}

depends() {
    # A module of its own in newer dracut-ng, where base had it before.
    dracut_module_included systemd || [[ ! -d $(dracut_module_path initqueue) ]] || echo initqueue
}

installkernel() { instmods -s efivarfs; } # where systemd says where the kernel's image is
install() {
    local _file _files=() _lines=
    while read -r _file; do
        [[ -e ${dracutsysrootdir-}$_file ]] && _files+=("$_file") # else ldd finds it elsewhere
    done < "${dracutsysrootdir-}$LIB/resume.needs"
    inst_multiple "$LIB/resume/torpor-resume" "${_files[@]}"
    inst_multiple -o "$LOCATION" mount udevadm
    [[ ! -f ${dracutsysrootdir-}/etc/machine-id ]] || inst /etc/machine-id /var/lib/torpor/machine-id
    [[ ${hostonly-} || ! ${torpor_luks-} ]] || _lines=$(lines_of_crypttab)
    [[ ! $_lines ]] || echo "$_lines" >> "$initdir/etc/crypttab"
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
