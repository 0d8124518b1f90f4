"""What enable cannot do for the user, in a line each."""

import fnmatch
import re
from collections.abc import Iterator

from kernel import cmdline
from setup import units
from setup.generators import find_generator
from setup.system import System
from setup.target import Target
from state import files

_CRYPTTAB = "/etc/crypttab"
_CONF_HOOK = "/etc/cryptsetup-initramfs/conf-hook"


def remarks(system: System, target: Target, command_line: str) -> list[str]:
    """Return what is left to do, a line each."""
    generator = find_generator(system)
    found = list(_on_command_line(target, command_line))
    if generator is None or not target.luks:
        pass
    elif generator.name == "initramfs-tools":
        found += _on_cryptsetup(system, target)
    elif generator.name == "dracut":
        found += _on_rd_luks(system, target, command_line)
    else:
        found.append("the store is on LUKS: see that encrypt or sd-encrypt opens it at boot")
    if units.can_hibernate(system) in ("no", "na"):
        wanted = target.location.parameters
        found.append(f"logind says no to hibernation: try {wanted} on the kernel command line")
    return found


def _on_command_line(target: Target, command_line: str) -> Iterator[str]:
    resume = cmdline.parse(command_line).get("resume")
    if resume and resume != target.location.resume:
        yield (
            f"resume={resume} on the kernel command line comes first at boot: take it off, or make "
            f"it {target.location.parameters}"
        )


def _on_cryptsetup(system: System, target: Target) -> Iterator[str]:
    if not system.has("/usr/share/initramfs-tools/hooks/cryptroot"):
        yield "the store is on LUKS: install cryptsetup-initramfs, and run torpor enable again"
        return
    keys = _keys(files.read_text(system.path(_CRYPTTAB)) or "")
    hook = files.read_text(system.path(_CONF_HOOK)) or ""
    pattern = re.search(r"^KEYFILE_PATTERN=[\"']?([^\"'\n]*)", hook, re.MULTILINE)
    for name, _ in target.luks:
        key = keys.get(name)
        if key is None:
            yield f"{name} is not in {_CRYPTTAB}: the initramfs cannot open it"
        elif key.startswith("/") and not (pattern and fnmatch.fnmatch(key, pattern[1])):
            yield (
                f"the initramfs cannot open {name} by the key file {key}: name it in "
                f"KEYFILE_PATTERN= of {_CONF_HOOK}, and run torpor enable again"
            )


def _keys(crypttab: str) -> dict[str, str]:
    lines = [line.split() for line in crypttab.splitlines() if not line.lstrip().startswith("#")]
    return {words[0]: words[2] if len(words) > 2 else "none" for words in lines if words}


def _on_rd_luks(system: System, target: Target, command_line: str) -> Iterator[str]:
    # systemd in the initramfs opens what crypttab says, of which dracut takes along what it needs
    # in a host-only image, none into a generic one; and no other than those that the command line
    # names, if it names any (cryptsetup-generator.c).
    for name, uuid in target.luks:
        if uuid in command_line or ("rd.luks." not in command_line and _is_hostonly(system)):
            continue
        yield f"to open {name}, the kernel command line needs rd.luks.name={uuid}={name}"


def _is_hostonly(system: System) -> bool:
    """Whether dracut is told to make images for this machine only."""
    names = ["/etc/dracut.conf"]
    for folder in ("/usr/lib/dracut/dracut.conf.d", "/etc/dracut.conf.d"):
        names += [f"{folder}/{name}" for name in system.names_in(folder)]
    texts = [files.read_text(system.path(name)) or "" for name in names]
    found = re.findall(r"^\s*hostonly=[\"']?(\w+)", "\n".join(texts), re.MULTILINE)
    return bool(found) and found[-1] == "yes"
