"""What systemd does in an initramfs, whoever made it, and how it reads its configuration."""

import re
from collections.abc import Iterator, Mapping, Sequence

from initramfs.generators.generator import LOADER, REINSTALL, SYSTEMD, Boot, Fault, Maker, add_word
from initramfs.generators.layers import Crypt
from linux.root import Root
from store import crypttab
from store.crypttab import Line

CRYPTSETUP = ("/usr/lib/systemd/systemd-cryptsetup", "/usr/bin/systemd-cryptsetup")
TABLE = "/etc/crypttab"
_GPT_AUTO = "/usr/lib/systemd/system-generators/systemd-gpt-auto-generator"
_UNITS = "/usr/lib/systemd/system"
_STARTERS = (
    f"{_UNITS}/torpor-resume.service",
    "/usr/lib/systemd/system-generators/torpor-resume-generator",
)
_STOCK = ("systemd-hibernate-resume.service", "systemd-hibernate-resume@.service")
_TRUE = ("1", "yes", "y", "true", "t", "on")
_FALSE = ("0", "no", "n", "false", "f", "off")
_OF_UUID = re.compile("([0-9a-fA-F-]+)=(.+)")


def order(boot: Boot) -> Iterator[Fault]:
    """Yield what keeps systemd from starting the resumer, in front of the stock resume."""
    for path in _STARTERS:
        if path not in boot.initramfs:
            message = f"{boot.path} holds the resumer but not {path}, which starts it"
            yield Fault(message, "" if boot.root.exists(path) else REINSTALL)
    for unit in _STOCK:
        drop_in = f"{_UNITS}/{unit}.d/torpor.conf"
        if f"{_UNITS}/{unit}" in boot.initramfs and drop_in not in boot.initramfs:
            yield Fault(f"{boot.path} does not order {unit} behind Torpor: no {drop_in}")


def configuration(root: Root, folders: Sequence[str], name: str) -> list[str]:
    """Return the file of this name in the first folder that has it, then its drop-ins."""
    paths = (f"{folder}/{name}" for folder in folders)
    return [*[path for path in paths if root.exists(path)][:1], *drop_ins(root, folders, name)]


def drop_ins(root: Root, folders: Sequence[str], name: str) -> list[str]:
    """Return the files in NAME.d, by name: each hides those of its name in the folders behind."""
    found = {
        part: f"{folder}/{name}.d/{part}"
        for folder in reversed(folders)
        for part in root.names(f"{folder}/{name}.d")
        if part.endswith(".conf") and part[0] != "."
    }
    return [found[part] for part in sorted(found)]


def boolean(text: str) -> bool | None:
    """Return what systemd takes the text for, None if it is no boolean (parse-util.c)."""
    if text.lower() in _TRUE:
        return True
    return False if text.lower() in _FALSE else None


def _flag(value: str) -> bool | None:
    """Return what a flag of the kernel command line says: without a value it is set."""
    return boolean(value) if value else True


class _Told:
    """What the kernel command line tells (cryptsetup-generator.c, parse_proc_cmdline_item).

    The real one: systemd does not read what dracut has in etc/cmdline.d.
    """

    def __init__(self) -> None:
        self.off = ""
        """The word that turns all of it off."""
        self.no_crypttab = ""
        self.named: dict[str, str] = {}
        """By what parameter a UUID is named. Where one is, no other device is opened."""
        self.options: dict[str, str] = {}
        """By UUID; by "" those of what is not in crypttab."""
        self.keys: dict[str, str] = {}
        self.data: dict[str, str] = {}
        """Where the data is that a header elsewhere is for."""

    def hear(self, name: str, value: str) -> None:
        """Take in a parameter, which may change what one before it said."""
        found = _OF_UUID.fullmatch(value)
        uuid, said = (found[1], found[2]) if found else ("", value)
        match name.removeprefix("rd."):
            case "luks":
                self.off = _turned(self.off, name, value)
            case "luks.crypttab":
                self.no_crypttab = _turned(self.no_crypttab, name, value)
            case "luks.uuid" if value:
                self.named[value.removeprefix("luks-")] = name
            case "luks.name" if uuid:
                self.named[uuid] = name
            case "luks.options":
                self.options[uuid] = said
            case "luks.key":
                self.keys[uuid] = said
            case "luks.data" if uuid:
                self.data[uuid] = said

    def line(self, name: str, line: Line) -> Line | None:
        """Return a line of crypttab as it is taken, None if it is not (add_crypttab_device)."""
        uuid = line.uuid or (name[5:] if name.startswith("luks-") else "")
        allowed = {*self.named, *self.options, *self.keys, *self.data} - {""}
        if self.named and uuid not in allowed:
            return None
        options = self.options.get(uuid) if uuid else None
        return line if options is None else crypttab.line_of(line.key, options)

    def other(self, uuid: str) -> Line | None:
        """Return how what crypttab does not have is opened, None if it is not."""
        if not uuid or uuid not in self.named:
            return None
        key, options = (said.get(uuid, said.get("", "")) for said in (self.keys, self.options))
        return crypttab.line_of(key, options)


def _turned(before: str, name: str, value: str) -> str:
    """Return the word if it says no, "" if it says yes; what is no boolean changes nothing."""
    said = _flag(value)
    if said is False:
        return f"{name}={value}"
    return "" if said else before


def crypt(
    boot: Boot,
    one: Crypt,
    lines: Mapping[str, Line],
    untold: str,
    keep: str,
    table: str = crypttab.PATH,
) -> Fault | None:
    """Return why systemd does not open a device, None if it does; `lines` is its crypttab.

    `untold` is what to do where nothing tells of the device, `keep` how a file gets into the
    initramfs, and `table` where that has its crypttab from.
    """
    told = _Told()
    for parameter, value in boot.words:
        told.hear(parameter, value)
    if _is_auto_root(boot, one):
        return None
    name, line = one.line_in(lines)
    if off := told.off or (line and not told.named and told.no_crypttab):
        return boot.forbidden(one, off)
    taken = told.line(name, line) if line and not told.no_crypttab else None
    taken = taken or told.other(one.uuid)
    if taken is None:
        return _left_out(boot, one, told) if told.named else boot.nothing_tells(one, untold)
    if taken.is_noauto and not _is_waited_for(boot, one):
        where = f"the line of {name} in {table}"
        if taken is not line:
            where = f"rd.luks.options= in {LOADER}"
        return boot.skipped(one, "noauto", where, in_initramfs=taken is line)
    return boot.lost_file(one, taken, keep)


def _left_out(boot: Boot, one: Crypt, told: _Told) -> Fault:
    word = f"{next(iter(told.named.values()))}="
    if one.uuid:
        return boot.left_out(one, word, add_word(f"rd.luks.name={one.uuid}={one.name}"))
    return boot.left_out(one, word, f"take {word} off {LOADER}, and name every device in {TABLE}")


def _is_auto_root(boot: Boot, one: Crypt) -> bool:
    """Return whether it is the root that systemd finds by its partition (gpt-auto-generator.c)."""
    said = dict(boot.words)
    is_on = _flag(said.get("rd.systemd.gpt_auto", said.get("systemd.gpt_auto", "")))
    is_auto = said.get("root", "gpt-auto") in ("gpt-auto", "gpt-auto-force")
    return bool(one.name == "root" and is_on and is_auto and _GPT_AUTO in boot.initramfs)


def _is_waited_for(boot: Boot, one: Crypt) -> bool:
    """Return whether the boot waits for the opened device by its name, which has it opened."""
    names = ("root", "resume", "mount.usr")
    return any(name in names and value == f"/dev/mapper/{one.name}" for name, value in boot.words)


class Systemd(Maker):
    """An initramfs of systemd's that none of the generators made: mkosi-initrd's, say."""

    marks = (SYSTEMD,)
    texts = (TABLE[1:],)
    add_lvm = "put lvm into it"

    def order(self, boot: Boot) -> Iterator[Fault]:
        """See Maker."""
        return order(boot)

    def crypt(self, boot: Boot, one: Crypt) -> Fault | None:
        """See Maker."""
        if not boot.holds(CRYPTSETUP):
            return boot.no_cryptsetup(one, "put systemd-cryptsetup into it")
        untold = f"put a crypttab with a line for {one.name} into it"
        return crypt(boot, one, boot.lines(TABLE), untold, "put it there")
