"""initramfs-tools, with cryptsetup-initramfs (Debian, Ubuntu)."""

import fnmatch
import re
from collections.abc import Iterator, Sequence

from initramfs.archive.initramfs import Initramfs
from initramfs.generators import iscsi, shell
from initramfs.generators.generator import (
    CRYPTSETUP,
    LOADER,
    MDADM,
    REINSTALL,
    Boot,
    Fault,
    Generator,
    Target,
    add_to_crypttab,
    foresee,
)
from initramfs.generators.layers import Crypt, Opened
from linux.root import Root
from store import crypttab
from store.crypttab import Line, udev_path

_UPDATE = "/usr/sbin/update-initramfs"
_CRYPTSETUP = "/usr/share/initramfs-tools/hooks/cryptroot"
_CONF = "/etc/initramfs-tools"
_SHARED = "/usr/share/initramfs-tools"
_CONF_NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
_CONF_HOOK = "/etc/cryptsetup-initramfs/conf-hook"
_PREMOUNT = {"local": "/scripts/local-premount", "nfs": "/scripts/nfs-premount"}
_INITRAMFS_CONF = "/conf/initramfs.conf"
_TABLE = "/cryptroot/crypttab"
_ON_THE_ROOT = "/FIXME-initramfs-rootmnt"
"""Before the path of a key file that is not taken along: the root is mounted first."""


class _InitramfsTools(Generator):
    """update-initramfs and mkinitramfs."""

    name = "initramfs-tools"
    rebuild = ("update-initramfs", "-u", "-k", "all")
    part = "/usr/share/initramfs-tools/hooks/torpor"
    configuration = "/etc/initramfs-tools/conf.d/torpor"
    add_module = f"add the line {{}} to {_CONF}/modules"
    marks = (_PREMOUNT["local"],)
    netroot = iscsi.OPEN_ISCSI
    texts = (
        *(f"{folder[1:]}/ORDER" for folder in _PREMOUNT.values()),
        _INITRAMFS_CONF[1:],
        _TABLE[1:],
    )

    def is_used(self, root: Root) -> bool:
        there = (root.exists(path) for path in (_UPDATE, "/usr/sbin/mkinitramfs"))
        return all(there) and not is_dracuts(root)

    def text(self, target: Target) -> str:
        """Return what has to stand in the configuration.

        The hook of cryptsetup-initramfs takes what RESUME= is on along into the initramfs, besides
        root (get_resume_devno); LVM is activated by udev as it comes. The last file in the folder
        wins: ours is behind Debian's `resume`.
        """
        is_crypt = any(isinstance(one, Crypt) for one in target.opened)
        return f"RESUME={target.location.resume}\n" if is_crypt else ""

    def order(self, boot: Boot) -> Iterator[Fault]:
        folder = _premount(boot)
        text = boot.initramfs.text(f"{folder}/ORDER") or ""
        scripts = re.findall(rf"^{folder}/(\S+)", text, re.MULTILINE)
        ours = [at for at, name in enumerate(scripts) if "torpor" in name]
        if not ours:
            message = f"{boot.path} holds the resumer but does not run it: it is not in"
            yield Fault(f"{message} {folder[1:]}/ORDER", REINSTALL)
        elif "resume" in scripts[: ours[0]]:
            yield boot.stock_first(REINSTALL)

    def crypt(self, boot: Boot, one: Crypt) -> Fault | None:
        """Return why an encrypted device is not opened at the boot, None if it is.

        scripts/local-top/cryptroot: all lines of its crypttab are, noauto or not.
        """
        if not boot.holds(CRYPTSETUP):
            return boot.no_cryptsetup(one, "install cryptsetup-initramfs")
        told = [_line(value) for name, value in boot.words if name == "cryptopts"]
        if told:
            _, line = one.line_in(crypttab.parse("".join(told)))
            remedy = f"take cryptopts= off {LOADER}"
            if line is None:
                return boot.left_out(one, "cryptopts=", remedy)
            fault = _without_key(boot, one, line)
            return fault and fault._replace(remedy=remedy, in_initramfs=False)
        _, line = one.line_in(boot.lines(_TABLE))
        if line is None or not line.key:
            return boot.nothing_tells(one, _untold(boot.root, one))
        return _without_key(boot, one, line)

    def foreseen(self, boot: Boot, store: Sequence[Opened], system: Sequence[Opened]) -> Initramfs:
        """Return what decides of the one that it will make (hooks/cryptroot, hooks/lvm2)."""
        root = boot.root
        files = {"/sbin/lvm": ""} if root.exists("/usr/share/initramfs-tools/hooks/lvm2") else {}
        if root.exists(f"{_SHARED}/hooks/mdadm"):
            files[MDADM] = ""
        if not root.exists(_CRYPTSETUP):
            return foresee(files)
        pattern = _key_pattern(root)
        names, text = {one.name for one in (*store, *system)}, ""
        for name, line in crypttab.parse(root.text(crypttab.PATH) or "").items():
            if line.key and (name in names or line.value("initramfs") in ("", "yes")):
                text += f"{line.text}\n"
                if (script := _script(line)) and root.exists(script):
                    files[script] = ""
                if pattern is None or fnmatch.fnmatchcase(line.key, pattern):
                    files[line.key] = ""
        return foresee({**files, "/sbin/cryptsetup": "", _TABLE: text})


INITRAMFS_TOOLS = _InitramfsTools()


def _premount(boot: Boot) -> str:
    """Return the folder whose scripts run before the root is mounted (init of initramfs-tools)."""
    configured = boot.initramfs.text(_INITRAMFS_CONF) or ""
    (*_, script) = ["", *re.findall(r"^BOOT=(\w+)", configured, re.MULTILINE)]
    for name, value in boot.words:
        if name == "boot":
            script = value
        elif (name, value) == ("root", "/dev/nfs"):
            script = script or "nfs"
    return _PREMOUNT.get(script, _PREMOUNT["local"])


def _line(value: str) -> str:
    """Return the line of crypttab for a value of cryptopts=: target=, source=, key= and options."""
    said = dict(word.partition("=")[::2] for word in value.split(","))
    names = (said.get("target", "cryptroot"), said.get("source", ""), said.get("key", "none"))
    return f"{' '.join(names)} {value}\n" if said.get("source") else ""


def _untold(root: Root, one: Crypt) -> str:
    lines = crypttab.parse(root.text(crypttab.PATH) or "")
    _, line = one.line_in(lines)
    if line is None:
        return add_to_crypttab(one, lines, "luks,initramfs")
    if not line.key:
        return f"end the line of {one.name} in {crypttab.PATH} with none luks,initramfs"
    return f"give {one.name} the option initramfs in {crypttab.PATH}"


def _without_key(boot: Boot, one: Crypt, line: Line) -> Fault | None:
    """Return what keeps the key from being found: the scripts take all but none for a path.

    Of a keyscript it is an argument.
    """
    if script := _script(line):
        message = f"{boot.path} does not hold the keyscript {script}, which opens {one.name}"
        remedy = "" if boot.root.exists(script) else f"install {script}, or correct keyscript="
        return None if script in boot.initramfs else Fault(message, remedy)
    line = line._replace(key=line.key.removeprefix(_ON_THE_ROOT))
    where = f"the line of {one.name} in {crypttab.PATH}"
    path, device = line.key_device
    if device:
        remedy = f"write {udev_path(device)}:{path} and the option keyscript=passdev in {where}"
    elif line.key.startswith("/dev/") and ":/" in line.key:
        remedy = f"give {one.name} the option keyscript=passdev in {crypttab.PATH}"
    elif line.key == "-":
        remedy = f"write none for - in {where}"
    else:
        keep = f"name it in KEYFILE_PATTERN= of {_CONF_HOOK}"
        header = f"have a hook in {_CONF}/hooks put it there"
        return boot.lost_file(one, line, keep, header)
    message = f"{boot.path} takes {line.key} for the path of a file, and does not open {one.name}"
    return Fault(message, remedy)


def _script(line: Line) -> str:
    """Return the path of the program that says the key, "" for none (debian/functions)."""
    name = line.value("keyscript") or ""
    return name if not name or name[0] == "/" else f"/lib/cryptsetup/scripts/{name}"


def _key_pattern(root: Root) -> str | None:
    """Return KEYFILE_PATTERN= as it is at last, None if only a shell can tell."""
    texts = ("KEYFILE_PATTERN=\n", root.text(_CONF_HOOK) or "")
    found = shell.value_of("KEYFILE_PATTERN", texts)
    return None if isinstance(found, list) else found


def is_dracuts(root: Root) -> bool:
    """Return whether update-initramfs is dracut's: Debian's package of 112 has one of its own."""
    return "dracut" in (root.text(_UPDATE) or "")


def stock_resume(root: Root) -> tuple[str, str]:
    """Return RESUME= of the configuration and the file that says it; "" and "" for nothing.

    What only a shell can tell is nothing, too.
    """
    value: shell.Value = None
    source = ""
    for path in _configuration(root):
        said: dict[str, shell.Value] = {}
        rest = shell.assign(root.text(path) or "", said)
        if shell.names(rest, "RESUME"):
            said["RESUME"] = None
        if "RESUME" in said:
            value, source = said["RESUME"], path
    return (value, source) if isinstance(value, str) and value else ("", "")


def _configuration(root: Root) -> Iterator[str]:
    """Yield the files that mkinitramfs reads (maybe_add_conf): those in /etc hide the others."""
    yield f"{_CONF}/initramfs.conf"
    ours = root.names(f"{_CONF}/conf.d")
    shared = [name for name in root.names(f"{_SHARED}/conf.d") if name not in ours]
    for folder, names in ((_SHARED, shared), (_CONF, ours)):
        for name in names:
            if _CONF_NAME.fullmatch(name) and ".dpkg-" not in name:
                yield f"{folder}/conf.d/{name}"
