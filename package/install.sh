#!/bin/sh
# Installs Torpor from its tarball, or takes away exactly what an earlier run installed.
set -eu
umask 022

here=$(cd "$(dirname "$0")" && pwd)
root=/
uninstall=

lib=usr/lib/torpor
conf=etc/torpor.conf
state=var/lib/torpor

usage() {
    cat <<'TEXT'
usage: install.sh [--root DIR] [--uninstall]

  --root DIR   install below DIR instead of /; the initramfs is then left to you
  --uninstall  take away what an earlier run installed
TEXT
}

fail() {
    echo "install.sh: $1" >&2
    [ $# -lt 2 ] || echo "  $2" >&2
    exit 1
}

say() {
    echo "install.sh: $*"
}

# The names below the root that the tarball has, folders first.
names() {
    (cd "$here/root" && find . -mindepth 1 -type d && find . -mindepth 1 ! -type d) | sed 's,^\./,,'
}

recorded() { # KIND NAME
    [ -f "$manifest" ] && grep -Fqx "$1 $2" "$manifest"
}

there() {
    [ -e "$1" ] || [ -L "$1" ]
}

check() {
    [ -d "$here/root" ] || fail "$here/root is missing: unpack the whole tarball"
    if [ -z "$root" ] && ! said=$("$here/root/$lib/torpor/torpor" --version 2>&1); then
        fail "the programs do not run here: $(echo "$said" | tail -n 1)" \
            "they need Linux on x86-64 and a glibc as new as the one they were made with"
    fi
    names | while read -r name; do
        [ -d "$here/root/$name" ] && [ ! -L "$here/root/$name" ] && continue
        if there "$root/$name" && [ "$name" != $conf ] && ! recorded f "$name"; then
            fail "$root/$name is there and was not installed by this script" \
                "was Torpor installed as a package? then use that"
        fi
    done
}

# Replace the libraries in the list of what an initramfs needs by this system's, by their names.
resolve_needs() {
    while read -r name; do
        case $name in
            "/$lib"/*) echo "$name" ;;
            *) library "$name" ;;
        esac
    done <"$here/root/$lib/resume.needs"
}

library() { # PATH
    base=${1##*/}
    for folder in "${1%/*}" /lib/x86_64-linux-gnu /usr/lib64 /lib64 /usr/lib /lib; do
        # /usr/lib and /lib may hold 32-bit libraries of that name: byte 5 says which.
        if [ -e "$root$folder/$base" ] &&
            [ "$(dd if="$root$folder/$base" bs=1 skip=4 count=1 2>/dev/null)" = "$(printf '\002')" ]; then
            echo "$folder/$base"
            return
        fi
    done
    fail "$base is not on this system, and the resumer needs it"
}

# Record first, then install: what is recorded twice or was never made does no harm.
install_all() {
    needs=$(resolve_needs) || exit 1
    made=
    for folder in usr usr/lib $lib; do
        [ -d "$root/$folder" ] || made="$made $folder"
    done
    mkdir -p "$root/$lib"
    for folder in $made; do
        echo "d $folder" >>"$manifest"
    done
    names | while read -r name; do
        source=$here/root/$name target=$root/$name
        if [ -d "$source" ] && [ ! -L "$source" ]; then
            if [ ! -d "$target" ]; then
                echo "d $name" >>"$manifest"
                mkdir "$target"
            fi
        elif [ "$name" = $conf ]; then
            ! there "$target" || continue
            echo "c $name $(cksum <"$source")" >>"$manifest"
            cp "$source" "$target"
        else
            recorded f "$name" || echo "f $name" >>"$manifest"
            rm -f "$target"
            cp -P "$source" "$target"
        fi
    done
    echo "$needs" >"$root/$lib/resume.needs"
    sed -n 's/^f //p' "$manifest" | while read -r name; do
        there "$here/root/$name" || rm -f "$root/$name" # of an older version
    done
}

remove_all() {
    [ -f "$manifest" ] || fail "nothing is installed below ${root:-/}"
    if [ -z "$root" ]; then
        torpor disable --no-rebuild || "/$lib/undo-enable"
    elif [ -f "$root/$state/location" ]; then
        fail "torpor is enabled there" "chroot $root torpor disable"
    fi
    list=$(cat "$manifest")
    rm -rf "${root}/var/lib/torpor"
    echo "$list" | while read -r kind name sum; do
        case $kind in
            f) rm -f "$root/$name" ;;
            c) remove_unchanged "$name" "$sum" ;;
        esac
    done
    rm -f "$manifest"
    echo "$list" | sed -n 's/^d //p' | sort -r | while read -r name; do
        rmdir "$root/$name" 2>/dev/null || [ ! -d "$root/$name" ] || say "$root/$name is not empty: it stays"
    done
}

remove_unchanged() { # NAME CHECKSUM
    [ -f "$root/$1" ] || return 0
    if [ "$(cksum <"$root/$1")" = "$2" ]; then
        rm -f "$root/$1"
    else
        say "$root/$1 was changed: it stays"
    fi
}

rebuild_by() { # COMMANDS, one a line
    if [ -n "$root" ]; then
        say "to rebuild the initramfs: chroot $root, and run what makes it there"
        return
    elif [ -z "$1" ]; then
        say "it is not known what makes the initramfs here: the resumer is still in it"
        return
    fi
    echo "$1" | while read -r command; do
        say "rebuilding the initramfs: $command"
        $command </dev/null || say "$command failed: run it again" >&2
    done
}

while [ $# -gt 0 ]; do
    case $1 in
        --root)
            [ $# -gt 1 ] || fail "--root needs a folder"
            root=$2
            shift
            ;;
        --root=*) root=${1#--root=} ;;
        --uninstall) uninstall=yes ;;
        -h | --help)
            usage
            exit
            ;;
        *)
            usage >&2
            exit 2
            ;;
    esac
    shift
done

[ -d "$root" ] || fail "$root is no folder"
[ "$root" = / ] || root=$(cd "$root" && pwd)
[ "$root" != / ] || root=''
manifest=$root/$lib/manifest

if [ -n "$uninstall" ]; then
    commands=
    [ -n "$root" ] || commands=$(torpor rebuild --print) || commands=
    remove_all
    say "removed"
    rebuild_by "$commands"
else
    check
    install_all
    say "installed; next: torpor doctor, then torpor enable"
    # torpor knows what makes the initramfs here, and looks into it.
    if [ -n "$root" ]; then
        say "to rebuild the initramfs: chroot $root torpor rebuild"
    else
        torpor rebuild || say "the initramfs is not as it should be" >&2
    fi
fi
