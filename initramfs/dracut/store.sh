#!/bin/bash
# What has the other modules of dracut open what the store lies on: sourced by module-setup.sh.
# shellcheck disable=SC2154 # LOCATION is set there

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
