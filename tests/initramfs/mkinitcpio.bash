#!/bin/bash
# mkinitcpio.bash TREE HOOK: what mkinitcpio documents for build hooks, and no more, for machines
# that do not have it. Runs the build function of HOOK; TREE gets the files and, in TREE.runscripts,
# the names of runtime hooks. What mkinitcpio would count as an error is one here.
# The functions' contracts: man 8 mkinitcpio, "ABOUT BUILD HOOKS"; `mkinitcpio -H`.
# shellcheck disable=SC2317 # called by the hooks
set -u

BUILDROOT=$1 hook=$2 errors=0
folder=/usr/lib/initcpio

error() {
    echo "error: $*" >&2
    errors=$((errors + 1))
}

add_dir() {
    mkdir -p "$BUILDROOT$1"
}

add_symlink() {
    local target=${2:-$(readlink "$1")}
    add_dir "${1%/*}"
    ln -sfn "$target" "$BUILDROOT$1"
}

# A plain file, whatever it needs; a link with what it points to.
add_file() {
    local source=$1 place=${2:-$1} real
    [[ -f $source ]] || { error "file not found: $source"; return 1; }
    real=$(realpath "$source")
    if [[ -L $source && $real != "$place" ]]; then
        add_file "$real"
        add_symlink "$place" "$real"
        return
    fi
    add_dir "${place%/*}"
    cp --remove-destination --preserve=mode "$source" "$BUILDROOT$place"
    [[ -z ${3-} ]] || chmod "$3" "$BUILDROOT$place"
}

add_full_dir() {
    local file
    while read -r file; do add_file "$file"; done < <(find "$1" -type f)
}

# With the libraries that ldd finds; one that it does not find fails the build.
add_binary() {
    local file=$1 line said
    [[ $file == /* ]] || file=$(type -P "$1") || { error "binary not found: $1"; return 1; }
    add_file "$file" "${2:-$file}" "${3-}" || return 1
    said=$(ldd "$file" 2>/dev/null) || return 0
    while read -r line; do
        if [[ $line == *'not found' ]]; then
            error "$file: $line"
        elif [[ $line =~ (^|[[:space:]])(/[^[:space:]]+)[[:space:]]\(0x ]]; then
            [[ -e $BUILDROOT${BASH_REMATCH[2]} ]] || add_file "${BASH_REMATCH[2]}"
        fi
    done <<<"$said"
}

add_module() { :; }
add_checked_modules() { :; }
add_udev_rule() { add_file "/usr/lib/udev/rules.d/$1"; }
add_systemd_unit() { add_file "/usr/lib/systemd/system/$1"; }

add_runscript() {
    local name=${BASH_SOURCE[1]##*/}
    add_binary "$folder/hooks/$name" "/hooks/$name" 755
    echo "$name" >>"$BUILDROOT.runscripts"
}

# The layout that the filesystem package gives.
mkdir -p "$BUILDROOT"/usr/{bin,lib,lib64}
ln -s usr/bin "$BUILDROOT/bin"
ln -s usr/lib "$BUILDROOT/lib"
ln -s usr/lib64 "$BUILDROOT/lib64"
if [[ $hook != sd-* ]]; then # the base hook
    for applet in $(/bin/busybox --list); do add_symlink "/usr/bin/$applet" busybox; done
    add_binary /bin/busybox
fi
# shellcheck source=/dev/null
. "$folder/install/$hook"
build
help >/dev/null || error "no help"
exit $((errors > 0))
