"""What a block device is made of: /sys/class/block (Documentation/ABI/stable/sysfs-block)."""

import errno
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from linux.root import HOST, Root

_CLASS = "/sys/class/block"

_NAMES = ("dm/name", "dm/uuid", "md/uuid")


@dataclass(frozen=True, slots=True)
class Layer:
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


def loop_of(name: str) -> str:
    """Return the loop device that this one is or is a partition of, "" for any other."""
    found = re.match(r"loop\d+", name)
    return found[0] if found else ""


def is_lasting(stack: Iterable[Layer]) -> bool:
    """Return whether none of the layers of a device is a file (loop) or memory."""
    return not any(layer.name.startswith(("loop", "zram", "ram")) for layer in stack)


def _walk(name: str, root: Root) -> Iterator[Layer]:
    folder = f"{_CLASS}/{name}"
    dm_name, dm_uuid, md_uuid = (root.line(f"{folder}/{file}") for file in _NAMES)
    yield Layer(name, dm_name, dm_uuid, md_uuid, _file_of(name, root))
    # A partition, of md or bcache, is on what its whole device is on; only that has slaves.
    for below in (*root.names(f"{folder}/slaves"), *root.names(f"{folder}/../slaves")):
        yield from _walk(below, root)


def _file_of(name: str, root: Root) -> str:
    """See Documentation/ABI/testing/sysfs-block-loop; a partition has the file of the whole."""
    if not (whole := loop_of(name)):
        return ""
    path = root.data(f"{_CLASS}/{whole}/loop/backing_file") or b""
    return os.fsdecode(path.removesuffix(b"\n"))
