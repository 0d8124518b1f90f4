"""dracut and dracut-ng."""

import os
import re
from collections.abc import Iterator, Sequence

from initramfs.archive.initramfs import Initramfs
from initramfs.generators import dracut_modules, iscsi, shell, systemd
from initramfs.generators.generator import (
    CRYPTSETUP,
    LOADER,
    LVM,
    MDADM,
    ONLY_LUKS,
    REINSTALL,
    SYSTEMD,
    Boot,
    Fault,
    Generator,
    Target,
    add_to_crypttab,
    add_word,
    foresee,
)
from initramfs.generators.joined import Array
from initramfs.generators.kernels import order
from initramfs.generators.layers import Crypt, Opened, Volume
from linux import cmdline
from linux.root import Root
from store import crypttab
from store.crypttab import Line

_CONF = "/etc/dracut.conf"
_OURS = f"{_CONF}.d/torpor.conf"
_FOLDERS = (f"{_CONF}.d", "/usr/lib/dracut/dracut.conf.d", "/run/initramfs/dracut.conf.d")
"""A file hides those of its name in the folders behind; 112 reads the last one, 106 does not."""
_MODULES = "/usr/lib/dracut/modules.d"
_KEEP = f"name it in install_items+= of a file in {_CONF}.d"
_NO = ("0", "no", "off")
_HOOKS = ("-crypt.sh", "-lvm.sh", "-md.sh")
_SKIPPED = ("noauto", "swap", "tmp")
"""Options of crypttab with which dracut's shell opens nothing (90crypt/cryptroot-ask.sh)."""


class _Dracut(Generator):
    """dracut, with systemd in the initramfs or its own shell."""

    name = "dracut"
    rebuild = ("dracut", "--regenerate-all", "--force")
    part = f"{_MODULES}/55torpor"
    configuration = _OURS
    add_module = f'put add_drivers+=" {{}} " into a file in {_CONF}.d'
    add_program = dracut_modules.BY_PROGRAM
    marks = ("/usr/lib/dracut",)
    netroot = iscsi.DRACUT
    texts = (
        "etc/crypttab",
        "etc/cmdline",
        "etc/cmdline.d/*.conf",
        "*-parse-crypt.sh",
        "*-parse-lvm.sh",
        "*-parse-md.sh",
    )

    def is_used(self, root: Root) -> bool:
        return root.exists("/usr/bin/dracut") or root.exists("/usr/sbin/dracut")

    def text(self, target: Target) -> str:
        """Return what has to stand in the configuration.

        dracut activates what the command line names. Not add_device+=, which makes each boot wait
        for the device, without an end (wait_for_dev in 99base/module-setup.sh). And rd.luks.uuid=
        only without systemd, which opens what crypttab or the real command line names: what stays
        shut is waited for, up to an emergency shell (90crypt/parse-crypt.sh). Both read crypttab,
        for the key: our module takes the lines that torpor_luks names along into a generic
        initramfs.
        """
        lvm, luks = _words_of(target.opened)
        lines = [f'kernel_cmdline+=" {lvm} "'] if lvm else []
        if luks:
            names = " ".join(one.name for one in target.opened if isinstance(one, Crypt))
            lines += [
                f'torpor_luks="{names}"',
                'if [[ " $omit_dracutmodules " == *" systemd "* ||',
                f"    ! -e {SYSTEMD} ]]; then",
                f'    kernel_cmdline+=" {luks} "',
                "fi",
            ]
        return "".join(f"{line}\n" for line in lines)

    def order(self, boot: Boot) -> Iterator[Fault]:
        if SYSTEMD in boot.initramfs:
            yield from systemd.order(boot)
            return
        hooks = [name for name in boot.initramfs.entries if "dracut/hooks/pre-mount/" in name]
        ours = [name for name in hooks if "torpor" in name]
        stock = [name for name in hooks if name.endswith("-resume.sh") and name not in ours]
        if not ours:
            message = f"{boot.path} holds the resumer but does not run it: no hook in pre-mount"
            yield Fault(message, REINSTALL)
        elif stock and min(stock) < min(ours):
            yield boot.stock_first(REINSTALL)

    def crypt(self, boot: Boot, one: Crypt) -> Fault | None:
        is_systemd = SYSTEMD in boot.initramfs
        if not boot.holds(systemd.CRYPTSETUP if is_systemd else CRYPTSETUP):
            return boot.no_cryptsetup(one, dracut_modules.CRYPT)
        return _by_systemd(boot, one) if is_systemd else _by_shell(boot, one)

    def volume(self, boot: Boot, one: Volume) -> Fault | None:
        """Return why a logical volume is not activated at the boot, None if it is.

        90lvm/parse-lvm.sh and lvm_scan.sh, with systemd or not: only what is named is, or all of it
        by rd.auto.
        """
        words = _Words(boot)
        if fault := boot.no_lvm(one, dracut_modules.LVM):
            return fault
        if no := words.turn_off("rd.lvm", "rd_NO_LVM"):
            return boot.forbidden(one, no)
        volumes, groups = words.of("rd.lvm.lv", "rd_LVM_LV"), words.of("rd.lvm.vg", "rd_LVM_VG")
        add = add_word(f"rd.lvm.lv={one.path}")
        if one.path in volumes or one.path.partition("/")[0] in groups:
            return None
        if volumes or groups:
            return boot.left_out(one, "rd.lvm.lv= or rd.lvm.vg=", add)
        return None if words.is_auto else boot.nothing_tells(one, add, in_initramfs=False)

    def array(self, boot: Boot, one: Array) -> Fault | None:
        """Return why an array is not assembled at the boot, None if it is.

        90mdraid/parse-md.sh: only what is named is, or all of it by rd.auto.
        """
        words = _Words(boot)
        if fault := boot.no_program(one, self.add_program):
            return fault
        if no := words.turn_off("rd.md", "rd_NO_MD"):
            return boot.forbidden(one, no)
        told = [re.sub("[:-]", "", uuid) for uuid in words.of("rd.md.uuid", "rd_MD_UUID")]
        if one.uuid in told or (told and not one.uuid):
            return None
        add = add_word(f"rd.md.uuid={one.uuid or 'UUID'}")
        if told:
            return boot.left_out(one, "rd.md.uuid=", add)
        return None if words.is_auto else boot.nothing_tells(one, add, in_initramfs=False)

    def foreseen(self, boot: Boot, store: Sequence[Opened], system: Sequence[Opened]) -> Initramfs:
        return _Foreseen(boot.root, store, system).initramfs()

    def keeps_out(self, boot: Boot) -> str:
        """Return what the user has to change (check_module in dracut-init.sh)."""
        conf = _others(boot.root)
        omitted = shell.value_of("omit_dracutmodules", conf)
        if not isinstance(omitted, str) or "torpor" in omitted.split():
            said = re.compile(r"^\s*(omit_dracutmodules)\+?=.*\btorpor\b", re.MULTILINE)
            for path in files(boot.root):
                if said.search(boot.root.text(path) or ""):
                    return f"take torpor out of omit_dracutmodules in {path}"
        only = _said(conf, "dracutmodules").split()
        added = (_said(conf, f"{how}_dracutmodules").split() for how in ("add", "force_add"))
        if only in ([], ["auto"], ["all"]) or any("torpor" in words for words in (only, *added)):
            return ""
        return dracut_modules.adding("torpor")


DRACUT = _Dracut()


def _words_of(opened: Sequence[Opened]) -> tuple[str, str]:
    """Return the words that have dracut open these: volumes, and LUKS by its shell."""
    lvm = (f"rd.lvm.lv={one.path}" for one in opened if isinstance(one, Volume))
    luks = (
        f"rd.luks.uuid={one.uuid} rd.luks.name={one.uuid}={one.name}"
        for one in opened
        if isinstance(one, Crypt) and one.uuid
    )
    return " ".join(lvm), " ".join(luks)


class _Words:
    """What dracut's own shell reads: its files of the command line, then the kernel's.

    dracut-lib.sh: getcmdline, getarg, getargbool. Of several of a name the last counts, or all.
    """

    def __init__(self, boot: Boot) -> None:
        held = boot.initramfs
        paths = [path for path in held.below("/etc/cmdline.d") if path.endswith(".conf")]
        texts = (held.text(path) or "" for path in (*paths, "/etc/cmdline"))
        self._all = [*cmdline.parameters(" ".join(filter(None, texts))), *boot.words]
        hooks = (name for name in held.entries if name.endswith(_HOOKS))
        self._hooks = "".join(held.text(hook) or "" for hook in hooks)

    def _is_known(self, old: str) -> bool:
        """Return whether this dracut takes a name that was given up: 059 does, 112 does not."""
        return not self._hooks or old in self._hooks

    def of(self, name: str, old: str = "") -> list[str]:
        """Return all values of a parameter, and of its old name."""
        return [
            value
            for said, value in self._all
            if value and (said == name or (said == old and self._is_known(old)))
        ]

    def turn_off(self, name: str, old: str) -> str:
        """Return the word that turns a part off, "" if none does."""
        said = dict(self._all)
        if name in said:
            return f"{name}={said[name]}" if said[name] in _NO else ""
        return old if old in said and self._is_known(old) else ""

    @property
    def is_auto(self) -> bool:
        """Whether dracut is to open whatever it finds."""
        return dict(self._all).get("rd.auto", "no") not in _NO

    def ids(self) -> tuple[str, list[str]]:
        """Return the first of the parameters that name encrypted devices, and what it says."""
        for name in ("partuuid", "serial", "uuid"):
            if found := self.of(f"rd.luks.{name}", f"rd_LUKS_{name.upper()}"):
                return name, [one.removeprefix("keysource:").removeprefix("luks-") for one in found]
        return "", []


def _by_systemd(boot: Boot, one: Crypt) -> Fault | None:
    """Return why systemd, to which rd.auto adds a line of crypttab, does not open a device."""
    words, lines = _Words(boot), boot.lines(systemd.TABLE)
    if words.is_auto and one.uuid and not words.ids()[0] and one.line_in(lines)[1] is None:
        lines[f"luks-{one.uuid}"] = crypttab.line_of("-", "timeout=0")
    return systemd.crypt(boot, one, lines, _untold(boot.root, one), _KEEP)


def _untold(root: Root, one: Crypt) -> str:
    """Return how systemd in the initramfs is told of a device that is not the store's."""
    option = _forcing(root)[0]
    is_hostonly = _is_hostonly(root)
    whole = f'put install_items+=" {systemd.TABLE} " into a file in {_CONF}.d'
    lines = crypttab.parse(root.text(crypttab.PATH) or "")
    if one.line_in(lines)[1] is None:
        add = add_to_crypttab(one, lines, f"luks,{option}")
        return add if is_hostonly else f"{add}, and {whole}"
    return f"give {one.name} the option {option} in {crypttab.PATH}" if is_hostonly else whole


def _by_shell(boot: Boot, one: Crypt) -> Fault | None:
    """Return why dracut's shell does not open a device (90crypt/parse-crypt.sh, cryptroot-ask.sh).

    It does what the command line tells; crypttab has the key, and may forbid it.
    """
    words = _Words(boot)
    if no := words.turn_off("rd.luks", "rd_NO_LUKS"):
        return boot.forbidden(one, no)
    if not one.uuid:
        return boot.nothing_tells(one, ONLY_LUKS)
    kind, ids = words.ids()
    add = add_word(f"rd.luks.uuid={one.uuid}")
    told = [stem for stem in ids if _is_meant(boot.root, one, kind, stem)]
    if ids and not told:
        word = f"rd.luks.{kind}="
        instead = f"take {word} off {LOADER}, and name every device there by rd.luks.uuid="
        return boot.left_out(one, word, add if kind == "uuid" else instead)
    if not ids and not words.is_auto:
        return boot.nothing_tells(one, add, in_initramfs=False)
    if words.turn_off("rd.luks.crypttab", "rd_NO_CRYPTTAB"):
        return None
    stem = told[0] if told else one.uuid
    names = dict(value.split("=", 1) for value in words.of("rd.luks.name") if "=" in value)
    name, line = _shells_line(boot, one, names.get(stem, f"luks-{stem}"))
    if line is None:
        return None
    if forbids := [option for option in line.options if option in _SKIPPED]:
        return boot.skipped(one, forbids[0], f"the line of {name} in {crypttab.PATH}")
    return boot.lost_file(one, line, _KEEP)


def _is_meant(root: Root, one: Crypt, kind: str, stem: str) -> bool:
    """Return whether a part of a UUID, or of a partition's, names a device; a serial number may."""
    if kind == "partuuid":
        folder = "/dev/disk/by-partuuid"
        return any(
            stem in name and _is_at(root, f"{folder}/{name}", one) for name in root.names(folder)
        )
    return kind == "serial" or stem in one.uuid


def _is_at(root: Root, path: str, one: Crypt) -> bool:
    return os.path.basename(os.path.realpath(root.path(path))) == one.below


def _shells_line(boot: Boot, one: Crypt, called: str) -> tuple[str, Line | None]:
    """Return the line of crypttab that the shell takes for a device, which it would call so."""
    for name, line in boot.lines(systemd.TABLE).items():
        tag, _, value = line.source.partition("=")
        is_path = line.source[:1] == "/"
        is_it = line.uuid == one.uuid or _is_at(boot.root, line.source, one)
        if (is_path and is_it) or (not is_path and tag != "LABEL" and f"luks-{value}" == called):
            return name, line
    return "", None


class _Foreseen:
    """What dracut will put into an initramfs, as far as it decides what is opened."""

    def __init__(self, root: Root, store: Sequence[Opened], system: Sequence[Opened]) -> None:
        self._root, self._store, self._system = root, store, system
        self._conf = _others(root)
        self._is_systemd = root.exists(SYSTEMD) and not self._omits("systemd")

    def _omits(self, module: str) -> bool:
        return module in _said(self._conf, "omit_dracutmodules").split()

    def initramfs(self) -> Initramfs:
        """Return the initramfs, with no more in it than that."""
        there = {
            SYSTEMD: self._is_systemd,
            (systemd.CRYPTSETUP if self._is_systemd else CRYPTSETUP)[0]: not self._omits("crypt"),
            **{path: not self._omits("lvm") and self._root.exists(path) for path in LVM},
            MDADM: not self._omits("mdraid") and self._root.exists(MDADM),
        }
        files = {path: "" for path, is_there in there.items() if is_there}
        # Of / and /usr only a host-only initramfs is told.
        is_told = _is_hostonly(self._root) and _said(self._conf, "hostonly_cmdline") != "no"
        lvm, luks = _words_of([*self._store, *(self._system if is_told else ())])
        words = (_said(self._conf, "kernel_cmdline"), lvm, "" if self._is_systemd else luks)
        files["/etc/cmdline.d/10-default.conf"] = " ".join(words)
        for module in self._root.names(_MODULES):
            for hook in _HOOKS:
                if text := self._root.text(f"{_MODULES}/{module}/parse{hook}"):
                    files[f"/var/lib/dracut/hooks/cmdline/30-parse{hook}"] = text
        items = _said(self._conf, "install_items") + _said(self._conf, "install_optional_items")
        files |= dict.fromkeys(items.split(), "")
        files[systemd.TABLE] = "".join(
            f"{line.text.replace(line.source, crypttab.udev_path(line.source), 1)}\n"
            for line in self._lines()
        )
        return foresee(files)

    def _lines(self) -> Iterator[Line]:
        """Yield the lines that will stand in its crypttab."""
        is_all = systemd.TABLE in _said(self._conf, "install_items").split()
        hostonly = _is_hostonly(self._root)
        lines = crypttab.parse(self._root.text(crypttab.PATH) or "")
        opened = (*self._store, *(self._system if hostonly else ()))
        names = {one.line_in(lines)[0] for one in opened if isinstance(one, Crypt)}
        for name, line in lines.items():
            is_forced = hostonly and {*_forcing(self._root)} & {*line.options}
            if is_all or is_forced or name in names:
                yield line


def _is_hostonly(root: Root) -> bool:
    """Return whether the initramfs is for this machine only: from 109 on it is, if not told no."""
    said = shell.value_of("hostonly", _others(root))
    programs = (root.text(f"/usr/{folder}/dracut") or "" for folder in ("bin", "sbin"))
    is_default = any('{hostonly-} == "no"' in text for text in programs)
    return said != "no" if is_default else said == "yes"


def _others(root: Root) -> list[str]:
    """Return what the files of configuration say but ours."""
    return [root.text(path) or "" for path in files(root) if path != _OURS]


def _said(conf: list[str], variable: str) -> str:
    """Return what these texts make of a variable, "" for nothing, or if only a shell can tell."""
    found = shell.value_of(variable, conf)
    return found if isinstance(found, str) else ""


def _forcing(root: Root) -> list[str]:
    """Return the options of crypttab that have a host-only dracut take a line along."""
    for module in root.names(_MODULES):
        if module.endswith("crypt"):
            text = root.text(f"{_MODULES}/{module}/module-setup.sh") or ""
            if "x-initrd.attach" not in text:
                return ["force"]
    return ["x-initrd.attach", "force"]


def files(root: Root) -> list[str]:
    """Return the files that dracut reads, in order (dropindirs_sort in dracut.sh)."""
    found = {
        name: path
        for folder in reversed(_FOLDERS)
        for name in root.names(folder)
        if name.endswith(".conf") and name[0] != "." and root.exists(path := f"{folder}/{name}")
    }
    by_name = sorted(found, key=lambda name: order(name.removesuffix(".conf")))
    return [_CONF, *(found[name] for name in by_name)]


def makes_unified(root: Root) -> bool:
    """Return whether it is told to make unified kernel images."""
    return shell.value_of("uefi", (root.text(path) or "" for path in files(root))) == "yes"
