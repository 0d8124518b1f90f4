#!/bin/bash
# mkinitcpio.bash TREE HOOK…: what mkinitcpio makes of these build hooks, for machines that do not
# have it. TREE gets the files; those of `base` and `systemd` are left out, but for what our hooks
# find there. The exit status is that of mkinitcpio: 1 if something failed, with all the rest in
# TREE none the less. As read in mkinitcpio 41 (functions, mkinitcpio, install/systemd, at fc8137c):
# see docs/INITRAMFS.md. Only what our hooks use is here.
# shellcheck disable=SC2317 # called by the hooks
shopt -s extglob
export PATH=/usr/bin:/bin
umask 022

BUILDROOT=$1
library=/usr/lib/initcpio
run_hooks=()
errors=0

warning() {
    echo "==> WARNING: $*" >&2
}

error() {
    echo "==> ERROR: $*" >&2
    return 1
}

add_dir() {
    [[ $1 == /?* ]] || return 1
    [[ -d $BUILDROOT$1 ]] || mkdir -p "$BUILDROOT$1"
}

# NAME [TARGET]. What it leads to is not added, and may be missing.
add_symlink() {
    local name=$1 target=${2:-$1}
    if [[ -L $target ]]; then
        if [[ $target == "$name" && $(readlink "$target") != */* ]]; then
            target=$(readlink "$target")
        else
            target=$(realpath -e "$target")
        fi
    fi
    [[ -n $target ]] || { error "invalid symlink: $name"; return 1; }
    add_dir "${name%/*}"
    ln -sfn "$target" "$BUILDROOT$name"
}

# FILE [PLACE [MODE]]: a file as it is, whatever it needs; a link with the file that it leads to.
add_file() {
    local source=$1 place=${2:-$1} mode=${3-} real
    [[ -f $source ]] || { error "file not found: $source"; return 1; }
    if [[ -z $mode && $source == "$place" && -L ${place%/*} ]]; then
        real=$(realpath "${place%/*}")
        if [[ ! -e $BUILDROOT${place%/*} ]]; then
            add_dir "$real"
            add_symlink "${place%/*}"
        fi
        place=$real/${place##*/}
    fi
    real=$(realpath "$source")
    if [[ -L $source && $real != "$place" ]]; then
        add_file "$real" "$real" "$mode"
        add_symlink "$place" "$source"
        return
    fi
    add_dir "${place%/*}"
    cp --remove-destination --preserve=mode "$source" "$BUILDROOT$place"
    [[ -z $mode ]] || chmod "$mode" "$BUILDROOT$place"
}

# FILE|NAME [PLACE [MODE]]: with the libraries that ldd finds. One that is not found is an error,
# but the caller is not told; the interpreter of a script that is not there is none.
add_binary() {
    local file=$1 said line interpreter
    [[ $file == /* ]] || file=$(type -P "$1") || { error "binary not found: $1"; return 1; }
    add_file "$file" "${2:-$file}" "${3-}" || return 1
    if ! said=$(ldd "$file" 2>/dev/null); then
        read -r line <"$file"
        interpreter=${line#'#!'}
        [[ $line != '#!'* || -e $BUILDROOT${interpreter%% *} ]] ||
            warning "possibly missing: ${interpreter%% *} for $file"
        return 0
    fi
    while read -r line; do
        if [[ $line == *'not found' ]]; then
            error "$file: $line"
            ((++errors))
        elif [[ $line =~ ^(.*' ')?(/.+)' (0x' && -f ${BASH_REMATCH[2]} ]]; then
            [[ -e $BUILDROOT${BASH_REMATCH[2]} ]] || add_file "${BASH_REMATCH[2]}"
        fi
    done <<<"$said"
    return 0
}

# There is no kernel here, and so no module. One with a "?" behind its name may be missing.
add_module() {
    [[ $1 == *'?' ]] || error "module not found: $1"
}

# The runtime hook named as the file that calls this. The init runs its run_hook, where it has one.
add_runscript() {
    local name=${BASH_SOURCE[1]##*/}
    [[ -f $library/hooks/$name ]] || { error "no runtime script for $name"; return 1; }
    add_binary "$library/hooks/$name" "/hooks/$name" 755
    ! grep -q '^run_hook *()' "$library/hooks/$name" || run_hooks+=("$name")
}

# The function that the hook `systemd` defines for those after it.
define_add_systemd_unit() {
    # UNIT, with its drop-ins, what it requires, what it runs (unless that may fail: a "-" in front)
    # and the links that want it.
    add_systemd_unit() {
        local unit folder=/usr/lib/systemd/system key values file
        unit=$folder/$1
        if [[ ! -f $unit ]]; then
            return 1 # and nobody hears of it: see the trap below
        fi
        add_file "$unit"
        for file in {/etc,/usr/lib}/systemd/system/"$1".d/*.conf; do
            [[ ! -e $file ]] || add_file "$file"
        done
        while IFS='=' read -r key values; do
            case $key in
                Requires | OnFailure) for file in $values; do add_systemd_unit "$file"; done ;;
                Exec*)
                    values=${values%% *}
                    case $values in
                        -*) ;;
                        !!*) add_binary "${values#!!}" ;;
                        *) add_binary "${values#[@!:+]}" ;;
                    esac
                    ;;
            esac
        done <"$unit"
        for file in "$folder"/*.wants/"$1"; do
            [[ ! -L $file ]] || add_symlink "$file"
        done
    }
}

# What the image has before any hook: one folder for programs, and one for libraries.
lay_out() {
    mkdir -p "$BUILDROOT"/{etc,proc,tmp,usr/{bin,lib}}
    ln -s usr/bin "$BUILDROOT/bin"
    ln -s usr/bin "$BUILDROOT/sbin"
    ln -s bin "$BUILDROOT/usr/sbin"
    ln -s usr/lib "$BUILDROOT/lib"
    ln -s usr/lib "$BUILDROOT/lib64"
    ln -s lib "$BUILDROOT/usr/lib64"
}

run_build_hook() {
    local applet
    case $1 in
        base)
            for applet in $(/bin/busybox --list); do add_symlink "/usr/bin/$applet" busybox; done
            add_binary /bin/busybox /usr/bin/busybox
            ;;
        systemd) define_add_systemd_unit ;;
        *)
            [[ -f $library/install/$1 ]] || { error "hook $1 cannot be found"; return 1; }
            unset -f build
            # shellcheck source=/dev/null
            . "$library/install/$1" || { error "failed to read $1"; return 1; }
            declare -f build >/dev/null || { error "$1 has no build function"; return 1; }
            build
            return 0 # whatever build says
            ;;
    esac
}

# An error is each return of a function with such a name, the generator's own or not, if the last
# command before it failed: after a test that was true, "return 1" is none.
set -o functrace
# shellcheck disable=SC2154 # expanded when it runs
trap 'status=$?; [[ $status == 0 || ${FUNCNAME[0]} != add_* ]] || ((++errors))' RETURN

lay_out
for hook in "${@:2}"; do
    run_build_hook "$hook" || ((++errors))
done
printf 'HOOKS="%s"\n' "${run_hooks[*]}" >"$BUILDROOT/config"
((errors == 0)) || warning "errors were encountered: the image may not be complete"
exit $((errors > 0))
