"""dracut and dracut-ng."""

import re
from collections.abc import Iterator

from initramfs.generators import shell
from initramfs.generators.generator import Generator, Luks, Target
from initramfs.generators.kernels import order
from linux.root import Root
from store import crypttab

_CONF = "/etc/dracut.conf"
_FOLDERS = (f"{_CONF}.d", "/usr/lib/dracut/dracut.conf.d", "/run/initramfs/dracut.conf.d")
"""A file hides those of its name in the folders behind; 112 reads the last one, 106 does not."""


def _is_used(root: Root) -> bool:
    return root.exists("/usr/bin/dracut") or root.exists("/usr/sbin/dracut")


def _text(target: Target) -> str:
    # dracut activates what the command line names. Not add_device+=, which makes each boot wait
    # for the device, without an end (wait_for_dev in 99base/module-setup.sh). And rd.luks.uuid=
    # only without systemd, which opens what crypttab or the real command line names: what stays
    # shut is waited for, up to an emergency shell (90crypt/parse-crypt.sh). Both read crypttab, for
    # the key: our module takes the lines that torpor_luks names along into a generic image.
    luks = " ".join(f"rd.luks.uuid={uuid} rd.luks.name={uuid}={name}" for name, uuid in target.luks)
    lvm = " ".join(f"rd.lvm.lv={volume}" for volume in target.lvm)
    lines = [f'kernel_cmdline+=" {lvm} "'] if lvm else []
    if luks:
        lines += [
            f'torpor_luks="{" ".join(name for name, _ in target.luks)}"',
            'if [[ " $omit_dracutmodules " == *" systemd "* ||',
            "    ! -e /usr/lib/systemd/systemd ]]; then",
            f'    kernel_cmdline+=" {luks} "',
            "fi",
        ]
    return "".join(f"{line}\n" for line in lines)


def _remarks(root: Root, luks: Luks, command_line: str) -> Iterator[str]:
    # systemd in the initramfs opens what crypttab says, and no other than those that the command
    # line names, if it names any (cryptsetup-generator.c).
    lines, conf = crypttab.parse(root.text(crypttab.PATH) or ""), configuration(root)
    for name, uuid in luks:
        line = lines.get(name)
        if "rd.luks." in command_line:
            if uuid not in command_line:
                yield f"to open {name}, the kernel command line needs rd.luks.name={uuid}={name}"
        elif line is None:
            yield f"{name} is not in {crypttab.PATH}: the initramfs cannot open it"
        elif line.key.startswith("/") and line.key not in conf:
            yield (
                f"the initramfs cannot open {name} by the key file {line.key}: name it in "
                f"install_items+= of a file in {_CONF}.d, and run torpor enable again"
            )


def configuration(root: Root) -> str:
    """Return all that the files of dracut's configuration say."""
    return "\n".join(_texts(root))


def _texts(root: Root) -> Iterator[str]:
    return (root.text(path) or "" for path in _files(root))


def _files(root: Root) -> list[str]:
    """Return the files that dracut reads, in order (dropindirs_sort in dracut.sh)."""
    found = {
        name: path
        for folder in reversed(_FOLDERS)
        for name in root.names(folder)
        if name.endswith(".conf") and name[0] != "." and root.exists(path := f"{folder}/{name}")
    }
    by_name = sorted(found, key=lambda name: order(name.removesuffix(".conf")))
    return [_CONF, *(found[name] for name in by_name)]


def leaves_out(root: Root) -> str:
    """Return the file that keeps our module out of the images, "" if none does."""
    said = re.compile(r"^\s*(omit_dracutmodules)\+?=.*\btorpor\b", re.MULTILINE)
    return next((path for path in _files(root) if said.search(root.text(path) or "")), "")


def makes_unified(root: Root) -> bool:
    """Return whether it is told to make unified kernel images."""
    return shell.value_of("uefi", _texts(root)) == "yes"


DRACUT = Generator(
    "dracut",
    ("dracut", "--regenerate-all", "--force"),
    "/usr/lib/dracut/modules.d/55torpor",
    "/etc/dracut.conf.d/torpor.conf",
    _text,
    _is_used,
    _remarks,
)
