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
from store import crypttab

_CONF_HOOK = "/etc/cryptsetup-initramfs/conf-hook"
_DRACUT_CONF = "/etc/dracut.conf.d"


def remarks(system: System, target: Target, command_line: str) -> list[str]:
    """Return what is left to do, a line each."""
    generator = find_generator(system)
    found = list(_on_command_line(target, command_line))
    if generator is None or not target.luks:
        pass
    elif generator.name == "initramfs-tools":
        found += _on_cryptsetup(system, target)
    elif generator.name == "dracut":
        found += _on_dracut(system, target, command_line)
    else:
        found.append("the store is on LUKS: see that encrypt or sd-encrypt opens it at boot")
    if units.can_hibernate(system) in units.NO:
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
    lines = _crypttab(system)
    hook = files.read_text(system.path(_CONF_HOOK)) or ""
    pattern = re.search(r"^KEYFILE_PATTERN=[\"']?([^\"'\n]*)", hook, re.MULTILINE)
    for name, _ in target.luks:
        line = lines.get(name)
        if line is None:
            yield f"{name} is not in {crypttab.PATH}: the initramfs cannot open it"
        elif line.key.startswith("/") and not (pattern and fnmatch.fnmatch(line.key, pattern[1])):
            yield (
                f"the initramfs cannot open {name} by the key file {line.key}: name it in "
                f"KEYFILE_PATTERN= of {_CONF_HOOK}, and run torpor enable again"
            )


def _crypttab(system: System) -> dict[str, crypttab.Line]:
    return crypttab.parse(files.read_text(system.path(crypttab.PATH)) or "")


def _on_dracut(system: System, target: Target, command_line: str) -> Iterator[str]:
    # systemd in the initramfs opens what crypttab says, and no other than those that the command
    # line names, if it names any (cryptsetup-generator.c).
    lines, conf = _crypttab(system), _dracut_conf(system)
    for name, uuid in target.luks:
        line = lines.get(name)
        if "rd.luks." in command_line:
            if uuid not in command_line:
                yield f"to open {name}, the kernel command line needs rd.luks.name={uuid}={name}"
        elif line is None:
            yield f"{name} is not in {crypttab.PATH}: the initramfs cannot open it"
        elif line.key.startswith("/") and line.key not in conf:
            yield (
                f"the initramfs cannot open {name} by the key file {line.key}: name it in "
                f"install_items+= of a file in {_DRACUT_CONF}, and run torpor enable again"
            )


def _dracut_conf(system: System) -> str:
    """Return all that dracut's configuration says."""
    names = [f"{_DRACUT_CONF}/{name}" for name in system.names_in(_DRACUT_CONF)]
    texts = [files.read_text(system.path(name)) or "" for name in ["/etc/dracut.conf", *names]]
    return "\n".join(texts)
