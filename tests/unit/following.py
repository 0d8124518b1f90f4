"""Follows what doctor says of what a boot opens: edits files, and rebuilds the initramfs."""

import re
from collections.abc import Callable
from fnmatch import fnmatchcase

from tests.unit.fake_machine import FakeMachine

DASHED = "08150815-0815-0815-0815-081508150815"
STORE = "swap_crypt"
DEBIAN, SHELL, SYSTEMD, BUSYBOX, ARCH = (
    *("initramfs-tools", "dracut, shell", "dracut, systemd"),
    *("mkinitcpio, busybox", "mkinitcpio, systemd"),
)
TABLES = {DEBIAN: "cryptroot/crypttab"}
"""Where the crypttab of an initramfs is, if not in etc."""
HOOK = "/usr/share/initramfs-tools/hooks/cryptroot"
CONF_HOOK = "/etc/cryptsetup-initramfs/conf-hook"
DRACUT_CONF = "/etc/dracut.conf.d/mine.conf"
CONF = "/etc/mkinitcpio.conf"
MODULES = "/usr/lib/dracut/modules.d"
CRYPTSETUP = {
    **dict.fromkeys((DEBIAN, SHELL, BUSYBOX), "usr/sbin/cryptsetup"),
    **dict.fromkeys((SYSTEMD, ARCH), "usr/lib/systemd/systemd-cryptsetup"),
}


class Machine(FakeMachine):
    """A machine whose files are edited as somebody does it who reads what doctor says."""

    kind = DEBIAN

    def line(self, name: str, path: str, change: Callable[[str], str]) -> None:
        """Change the line of a device in a crypttab."""
        lines = self.text(path).splitlines()
        assert [line for line in lines if line.startswith(f"{name} ")]
        changed = [change(line) if line.startswith(f"{name} ") else line for line in lines]
        self.write(path, "".join(f"{line}\n" for line in changed))

    def follow(self, finding: str, remedy: str) -> None:
        """Do what the remedy says, to the letter; what it says of a rebuild is `anew`."""
        remedy, done = remedy.partition("; if that is not enough")[0], 0
        for pattern, step in STEPS:
            for found in re.finditer(pattern, remedy):
                step(self, finding, *found.groups())
                done += 1
        assert done, remedy

    def anew(self) -> None:
        """Make the initramfs as its generator does, after what `torpor enable` wrote."""
        held = self.initramfs
        held.update({CRYPTSETUP[self.kind]: b"x"} if self._has_cryptsetup() else {})
        keys = re.findall(r"^\S+ \S+ (/\S+)", self.text("/etc/crypttab"), re.MULTILINE)
        if self.kind == DEBIAN:
            pattern = re.sub(r".*KEYFILE_PATTERN=", "", self.text(CONF_HOOK)).strip()
            held.update({key[1:]: b"x" for key in keys if fnmatchcase(key, pattern)})
        table = "/etc/crypttab.initramfs" if self.kind in (BUSYBOX, ARCH) else "/etc/crypttab"
        text = "\n".join(filter(self._takes, self.text(table).splitlines()))
        if self.kind in (SHELL, SYSTEMD):
            text = text.replace("UUID=", "/dev/disk/by-uuid/")
        held[TABLES.get(self.kind, "etc/crypttab")] = text.encode()
        if self.kind == SHELL:
            held["etc/cmdline.d/10-default.conf"] = f"rd.luks.uuid={DASHED}".encode()
        if self.kind in (BUSYBOX, ARCH):
            self._by_hooks()
        for items in re.findall(r'(?:install_items\+?=|FILES=)["(]([^")]*)', self.conf()):
            held.update({item[1:]: self.text(item).encode() or b"x" for item in items.split()})

    def _takes(self, line: str) -> bool:
        """Return whether the generator takes a line of crypttab along."""
        name, *_, options = line.split() or ["", ""]
        wanted = set(options.split(","))
        if self.kind == DEBIAN:
            return name == STORE or "initramfs" in wanted
        if self.kind in (BUSYBOX, ARCH):
            return True
        knows_attach = "x-initrd.attach" in self.text(f"{MODULES}/70crypt/module-setup.sh")
        forced = {"force", *(["x-initrd.attach"] if knows_attach else [])} & wanted
        return name == STORE or bool(forced and "hostonly" in self.conf())

    def conf(self) -> str:
        conf = self.text("/etc/mine.conf") or self.text(CONF)  # that of a preset, alone
        return self.text(DRACUT_CONF) + conf + self.text("/usr/bin/dracut")

    def _has_cryptsetup(self) -> bool:
        if self.kind == DEBIAN:
            return bool((self.root / HOOK[1:]).exists())
        return self.kind in (SHELL, SYSTEMD) or "encrypt" in self.conf()

    def _by_hooks(self) -> None:
        found = re.findall(r"HOOKS=\(([^)]*)\)", self.text(CONF))
        hooks = found[-1].split()
        self.initramfs["config"] = f'HOOKS="{" ".join(hooks)}"\n'.encode()
        if "systemd" in hooks:
            self.initramfs["usr/lib/systemd/systemd"] = b"x"
            self.initramfs[CRYPTSETUP[ARCH]] = b"x"
        if "lvm2" in hooks:
            self.initramfs["usr/sbin/lvm"] = b"x"


Step = Callable[..., object]


def _add_word(machine: Machine, _finding: str, word: str) -> None:
    machine.write("/proc/cmdline", f"{machine.text('/proc/cmdline').strip()} {word}\n")


def _take_word(machine: Machine, _finding: str, word: str) -> None:
    words = machine.text("/proc/cmdline").split()
    left = [one for one in words if not (one == word or (word[-1] == "=" and one.startswith(word)))]
    assert left != words
    machine.write("/proc/cmdline", " ".join(left) + "\n")


def _add_option(machine: Machine, _finding: str, name: str, option: str, path: str) -> None:
    machine.line(name, path, lambda line: f"{line},{option}")


def _take_option(machine: Machine, _finding: str, option: str, name: str, path: str) -> None:
    machine.line(name, path, lambda line: line.replace(option, "luks", 1))


def _keep(machine: Machine, finding: str, form: str, path: str) -> None:
    (held,) = re.findall(r"does not hold the (?:key file|header) (\S+),", finding)
    machine.write(path, machine.text(path) + form.format(held))


def _name_all(machine: Machine, finding: str, word: str) -> None:
    _take_word(machine, finding, "cryptdevice=")
    _add_word(machine, finding, word)


STEPS: tuple[tuple[str, Step], ...] = (
    (r"add ([\w.]+=\S+) to the boot loader's configuration", _add_word),
    (r"take (\S+) off the boot loader's configuration", _take_word),
    (r"\(this one by (\S+)\) in the boot", _name_all),
    (r"name every device there by (rd.luks.uuid=)", lambda m, f, w: _add_word(m, f, w + DASHED)),
    (
        r"take (\S+) out of (rd.luks.options=) in the",
        lambda machine, finding, _option, word: _take_word(machine, finding, word),
    ),
    (
        r"add the line (\S+ \S+ \S+ [^\s,]+(?:,[^\s,]+)*)",
        lambda machine, _finding, line: machine.write(
            "/etc/crypttab", machine.text("/etc/crypttab") + line + "\n"
        ),
    ),
    (r"give (\S+) the option (\S+) in ([\w/.]*\w)", _add_option),
    (r"take (\S+) out of the line of (\S+) in ([\w/.]*\w)", _take_option),
    (r"name it in (KEYFILE_PATTERN=) of ([\w/-]+)", lambda m, f, w, p: _keep(m, f, w + "{}\n", p)),
    (
        r"name it in install_items\+= of a file in ([\w/.]+\w)",
        lambda m, f, folder: _keep(m, f, 'install_items+=" {} "\n', f"{folder}/mine.conf"),
    ),
    (r"name it in FILES of ([\w/.]+\w)", lambda m, f, path: _keep(m, f, "FILES=({})\n", path)),
    (
        r"put (\w+\+=\"[^\"]*\") into a file in ([\w/.]+\w)",
        lambda m, _finding, line, folder: m.write(f"{folder}/mine.conf", m.conf() + line + "\n"),
    ),
    (r"say in (\S+): (HOOKS=\([^)]*\))", lambda machine, _f, path, line: machine.write(path, line)),
    (
        r"write (\S+) and the option (\S+) in the line of (\S+) in ([\w/.]*\w)",
        lambda machine, _finding, key, option, name, path: machine.line(
            name, path, lambda line: re.sub(r"^(\S+ \S+) \S+ (\S+)", rf"\1 {key} \2,{option}", line)
        ),
    ),
    (
        r"write (UUID=\S+) for (UUID=\S+) in the line of (\S+) in ([\w/.]*\w)",
        lambda machine, _finding, new, old, name, path: machine.line(
            name, path, lambda line: line.replace(old, new)
        ),
    ),
    (
        r"write none for - in the line of (\S+) in ([\w/.]*\w)",
        lambda machine, _finding, name, path: machine.line(
            name, path, lambda line: line.replace(" - ", " none ")
        ),
    ),
    (
        r"end the line of (\S+) in ([\w/.]*\w) with (\S+ [\w,]+\w)",
        lambda m, _finding, name, path, end: m.line(name, path, lambda line: f"{line} {end}"),
    ),
    (r"install cryptsetup-initramfs", lambda machine, _finding: machine.write(HOOK, "")),
    (r"install lvm2", lambda machine, _finding: machine.write("/usr/sbin/lvm", "")),
    (r"run torpor enable|rebuild it", lambda _machine, _finding: None),
)
"""Words of remedies, and what somebody does who follows them."""
