"""initramfs-tools, with cryptsetup-initramfs (Debian, Ubuntu)."""

import fnmatch
import re
from collections.abc import Iterator

from initramfs.generators import shell
from initramfs.generators.generator import Generator, Luks, Target
from linux.root import Root
from store import crypttab

_UPDATE = "/usr/sbin/update-initramfs"
_CRYPTSETUP = "/usr/share/initramfs-tools/hooks/cryptroot"
_CONF = "/etc/initramfs-tools"
_SHARED = "/usr/share/initramfs-tools"
_CONF_NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
_CONF_HOOK = "/etc/cryptsetup-initramfs/conf-hook"


def _is_used(root: Root) -> bool:
    there = (root.exists(path) for path in (_UPDATE, "/usr/sbin/mkinitramfs"))
    return all(there) and not is_dracuts(root)


def is_dracuts(root: Root) -> bool:
    """Return whether update-initramfs is dracut's: Debian's package of 112 has one of its own."""
    return "dracut" in (root.text(_UPDATE) or "")


def _text(target: Target) -> str:
    # The hook of cryptsetup-initramfs takes what RESUME= is on along into the image, besides
    # root (get_resume_devno); LVM is activated by udev as it comes. The last file in the folder
    # wins: ours is behind Debian's `resume`.
    return f"RESUME={target.location.resume}\n" if target.luks else ""


def _remarks(root: Root, luks: Luks, _command_line: str) -> Iterator[str]:
    if luks and not root.exists(_CRYPTSETUP):
        yield "the store is on LUKS: install cryptsetup-initramfs, and run torpor enable again"
        return
    lines = crypttab.parse(root.text(crypttab.PATH) or "")
    pattern = _key_pattern(root)
    for name, _ in luks:
        line = lines.get(name)
        if line is None:
            yield f"{name} is not in {crypttab.PATH}: the initramfs cannot open it"
        elif line.key.startswith("/") and not fnmatch.fnmatch(line.key, pattern):
            yield (
                f"the initramfs cannot open {name} by the key file {line.key}: name it in "
                f"KEYFILE_PATTERN= of {_CONF_HOOK}, and run torpor enable again"
            )


def _key_pattern(root: Root) -> str:
    variables: dict[str, shell.Value] = {}
    shell.assign(root.text(_CONF_HOOK) or "", variables)
    found = variables.get("KEYFILE_PATTERN")
    return found if isinstance(found, str) else ""


def stock_resume(root: Root) -> tuple[str, str]:
    """Return RESUME= of the configuration and the file that says it; "" and "" for nothing.

    What only a shell can tell is nothing, too.
    """
    variables: dict[str, shell.Value] = {}
    source = ""
    for path in _configuration(root):
        said: dict[str, shell.Value] = {}
        rest = shell.assign(root.text(path) or "", said)
        if shell.names(rest, "RESUME"):
            said["RESUME"] = None
        if "RESUME" in said:
            source = path
        variables |= said
    value = variables.get("RESUME")
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


INITRAMFS_TOOLS = Generator(
    "initramfs-tools",
    ("update-initramfs", "-u", "-k", "all"),
    "/usr/share/initramfs-tools/hooks/torpor",
    "/etc/initramfs-tools/conf.d/torpor",
    _text,
    _is_used,
    _remarks,
)
