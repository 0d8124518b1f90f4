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
    missed = ""
    """The file that the initramfs should hold."""

    def line(self, name: str, path: str, change: Callable[[str], str]) -> None:
        """Change the line of a device in a crypttab."""
        lines = self.text(path).splitlines()
        assert [line for line in lines if line.startswith(f"{name} ")]
        changed = [change(line) if line.startswith(f"{name} ") else line for line in lines]
        self.write(path, "".join(f"{line}\n" for line in changed))

    def follow(self, finding: str, remedy: str) -> None:
        """Do what the remedy says, to the letter; what it says of a rebuild is `anew`."""
        self.missed = "".join(re.findall(r"does not hold the (?:key file|header) (\S+),", finding))
        remedy = remedy.partition("; if that is not enough")[0]
        found = [(step, words) for pattern, step in STEPS for words in re.finditer(pattern, remedy)]
        assert found, remedy
        for step, words in found:
            step(self, *words.groups())

    def anew(self) -> None:
        """Make the initramfs as its generator does, after what `torpor enable` wrote."""
        held = self.initramfs
        held.update({CRYPTSETUP[self.kind]: b"x"} if self._has_cryptsetup() else {})
        keys = re.findall(r"^\S+ \S+ (/\S+)", self.text("/etc/crypttab"), re.MULTILINE)
        if self.kind == DEBIAN:
            pattern = re.sub(r".*KEYFILE_PATTERN=", "", self.text(CONF_HOOK)).strip()
            held.update({key[1:]: b"x" for key in keys if fnmatchcase(key, pattern)})
            for script in re.findall(r"keyscript=([^\s,]+)", self.text("/etc/crypttab")):
                held[f"lib/cryptsetup/scripts/{script}" if script[0] != "/" else script[1:]] = b"x"
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

    def add_word(self, word: str) -> None:
        """Add a word to the kernel command line."""
        self.write("/proc/cmdline", f"{self.text('/proc/cmdline').strip()} {word}\n")

    def take_word(self, word: str) -> None:
        """Take a word off the kernel command line, or all that begin so if it ends in =."""
        words = self.text("/proc/cmdline").split()
        left = [one for one in words if one != word]
        if word[-1] == "=":
            left = [one for one in words if not one.startswith(word)]
        assert left != words
        self.write("/proc/cmdline", " ".join(left) + "\n")

    def name_all(self, word: str) -> None:
        self.take_word("cryptdevice=")
        self.add_word(word)

    def add_line(self, line: str, path: str = "/etc/crypttab") -> None:
        self.write(path, f"{self.text(path)}{line}\n")

    def set_key(self, key: str, option: str, name: str, path: str) -> None:
        new = rf"\1 {key} \2,{option}"
        self.line(name, path, lambda line: re.sub(r"^(\S+ \S+) \S+ (\S+)", new, line))


STEPS: tuple[tuple[str, Callable[..., object]], ...] = (
    (r"add ([\w.]+=\S+) to the boot loader's configuration", Machine.add_word),
    (r"take (\S+) off the boot loader's configuration", Machine.take_word),
    (r"\(this one by (\S+)\) in the boot", Machine.name_all),
    (r"name every device there by (rd.luks.uuid=)", lambda m, word: m.add_word(word + DASHED)),
    (r"take \S+ out of (rd.luks.options=) in the", Machine.take_word),
    (r"add the line (\S+ \S+ \S+ [^\s,]+(?:,[^\s,]+)*)", Machine.add_line),
    (
        r"give (\S+) the option (\S+) in ([\w/.]*\w)",
        lambda m, name, option, path: m.line(name, path, lambda line: f"{line},{option}"),
    ),
    (
        r"take (\S+) out of the line of (\S+) in ([\w/.]*\w)",
        lambda m, old, name, path: m.line(name, path, lambda line: line.replace(old, "luks", 1)),
    ),
    (
        r"name it in (KEYFILE_PATTERN=) of ([\w/-]+)",
        lambda m, word, path: m.add_line(word + m.missed, path),
    ),
    (
        r"name it in (install_items\+=) of a file in ([\w/.]+\w)",
        lambda m, word, folder: m.add_line(f'{word}" {m.missed} "', f"{folder}/mine.conf"),
    ),
    (r"name it in FILES of ([\w/.]+\w)", lambda m, path: m.add_line(f"FILES=({m.missed})", path)),
    (
        r"put (\w+\+=\"[^\"]*\") into a file in ([\w/.]+\w)",
        lambda m, line, folder: m.write(f"{folder}/mine.conf", f"{m.conf()}{line}\n"),
    ),
    (r"say in (\S+): (HOOKS=\([^)]*\))", Machine.write),
    (r"write (\S+) and the option (\S+) in the line of (\S+) in ([\w/.]*\w)", Machine.set_key),
    (
        r"write (UUID=\S+) for (UUID=\S+) in the line of (\S+) in ([\w/.]*\w)",
        lambda m, new, old, name, path: m.line(name, path, lambda line: line.replace(old, new)),
    ),
    (
        r"write none for - in the line of (\S+) in ([\w/.]*\w)",
        lambda m, name, path: m.line(name, path, lambda line: line.replace(" - ", " none ")),
    ),
    (
        r"end the line of (\S+) in ([\w/.]*\w) with (\S+ [\w,]+\w)",
        lambda m, name, path, end: m.line(name, path, lambda line: f"{line} {end}"),
    ),
    (r"install cryptsetup-initramfs", lambda m: m.write(HOOK, "")),
    (r"install (/\S+), or correct keyscript=", lambda m, path: m.write(path, "")),
    (r"install lvm2", lambda m: m.write("/usr/sbin/lvm", "")),
    (r"run torpor enable|rebuild it", lambda _: None),
)
"""Words of remedies, and what somebody does who follows them."""
