"""What a block device is made of: /sys/class/block (Documentation/ABI/stable/sysfs-block)."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from linux.block import slaves
from linux.root import HOST, Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from linux.loop import LoopFile

_CLASS = "/sys/class/block"

SECTOR = 512
"""Bytes in which sysfs counts, whatever a device has."""

_NAMES = ("dm/name", "dm/uuid", "md/uuid")

ENCRYPTED = re.compile(r"CRYPT-(?:LUKS\d-([0-9a-f]{32})|PLAIN|LOOPAES|TCRYPT|BITLK|FVAULT2)-")
"""What cryptsetup calls what it opens (lib/libdevmapper.c, dm_prepare_uuid), with the UUID of LUKS;
not VERITY, INTEGRITY."""


class Layer(NamedTuple):
    """One block device of a stack."""

    name: str
    """As in /sys/class/block: sda2, dm-0, zram0."""
    dm_name: str
    """Name in /dev/mapper, or ""."""
    dm_uuid: str
    """What made a device-mapper device: CRYPT-LUKS2-…, CRYPT-PLAIN-…, LVM-…, or ""."""
    md_uuid: str = ""
    """UUID of an md array where the kernel tells it (uuid_show in drivers/md/md.c), or ""."""
    file: str = ""
    """Path of the file that holds a loop device or a partition of one, as its mount namespace has
    it; "" for any other device."""

    @property
    def is_encrypted(self) -> bool:
        """Whether what is written to it is encrypted by it."""
        return bool(ENCRYPTED.match(self.dm_uuid))


def layers(path: str, root: Root = HOST) -> list[Layer]:
    """Return the device at `path` and all devices below it, from the top. Raises OSError."""
    number = root.device_number(path)
    if number is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    return layers_of(number, root)


def layers_of(number: str, root: Root = HOST) -> list[Layer]:
    """Return the device MAJOR:MINOR and all below it, from the top."""
    name = root.device_name(number)
    return list(_walk(name, root)) if name else []


def is_encrypted(path: str, root: Root = HOST) -> bool:
    """Return whether all that is written to the device at `path` is encrypted by a layer below."""
    name = root.device_name(root.device_number(path) or "")
    return bool(name) and _is_encrypted(name or "", root)


def _is_encrypted(name: str, root: Root) -> bool:
    below = _below(name, root)
    by_others = bool(below) and all(_is_encrypted(one, root) for one in below)
    return by_others or bool(ENCRYPTED.match(root.line(f"{_CLASS}/{name}/dm/uuid")))


def loop_of(name: str) -> str:
    """Return the loop device that this one is or is a partition of, "" for any other."""
    found = re.match(r"loop\d+", name)
    return found[0] if found else ""


def is_lasting(number: str, root: Root = HOST) -> bool:
    """Return whether anything of the device MAJOR:MINOR is neither in a file (loop) nor memory."""
    return _is_lasting(root.device_name(number) or "", root)


def _is_lasting(name: str, root: Root) -> bool:
    if below := _below(name, root):
        return any(_is_lasting(one, root) for one in below)
    return not name.startswith(("loop", "zram", "ram"))


def _walk(name: str, root: Root) -> Iterator[Layer]:
    folder = f"{_CLASS}/{name}"
    dm_name, dm_uuid, md_uuid = (root.line(f"{folder}/{file}") for file in _NAMES)
    yield Layer(name, dm_name, dm_uuid, md_uuid, _file_of(name, root))
    for below in _below(name, root):
        yield from _walk(below, root)


def _below(name: str, root: Root) -> list[str]:
    """Return what a device lies on, directly."""
    held = loop_device(name, root)
    below = root.device_name(held.device) if held else None
    return slaves(name, root) or ([below] if below else [])


def loop_device(name: str, root: Root) -> "LoopFile | None":
    """Return what holds a loop device, or that of a partition, if that is a block device.

    None for any other device, and where nobody may ask.
    """
    if whole := loop_of(name):
        with suppress(OSError):
            held = root.loop_file(whole)
            return held if held.device else None
    return None


def _file_of(name: str, root: Root) -> str:
    """See Documentation/ABI/testing/sysfs-block-loop; a partition has the file of the whole."""
    if not (whole := loop_of(name)):
        return ""
    path = root.data(f"{_CLASS}/{whole}/loop/backing_file") or b""
    return os.fsdecode(path.removesuffix(b"\n"))
