"""What a block device is made of: /sys/class/block (Documentation/ABI/stable/sysfs-block)."""

import errno
import os
import re
from collections.abc import Iterator
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


def backing_file(name: str, root: Root = HOST) -> str:
    """Return the path of the file that holds the device `name`, "" unless it is of a loop device.

    Of a partition of one, too (Documentation/ABI/testing/sysfs-block-loop has the others).
    """
    whole = re.match(r"loop\d+", name)
    return root.line(f"{_CLASS}/{whole[0]}/loop/backing_file") if whole else ""


def _walk(name: str, root: Root) -> Iterator[Layer]:
    folder = f"{_CLASS}/{name}"
    yield Layer(name, *(root.line(f"{folder}/{file}") for file in _NAMES))
    for below in root.names(f"{folder}/slaves"):
        yield from _walk(below, root)
