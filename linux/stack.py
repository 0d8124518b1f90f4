"""What a block device is made of: /sys/class/block (Documentation/ABI/stable/sysfs-block)."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

SYSFS = "/sys"

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


def layers(path: str) -> list[Layer]:
    """Return the device at `path` and all devices below it, from the top. Raises OSError."""
    number = os.stat(path).st_rdev
    return layers_of(f"{os.major(number)}:{os.minor(number)}")


def layers_of(number: str) -> list[Layer]:
    """Return the device MAJOR:MINOR and all below it, from the top."""
    return list(_walk(os.path.basename(os.path.realpath(f"{SYSFS}/dev/block/{number}"))))


def backing_file(name: str) -> str:
    """Return the path of the file that holds the device `name`, "" unless it is of a loop device.

    Of a partition of one, too (Documentation/ABI/testing/sysfs-block-loop has the others).
    """
    whole = re.match(r"loop\d+", name)
    return _line(f"{SYSFS}/class/block/{whole[0]}/loop/backing_file") if whole else ""


def _walk(name: str) -> Iterator[Layer]:
    folder = f"{SYSFS}/class/block/{name}"
    dm_name, dm_uuid, md_uuid = (_line(f"{folder}/{file}") for file in _NAMES)
    yield Layer(name, dm_name, dm_uuid, md_uuid)
    slaves = f"{folder}/slaves"
    for below in sorted(os.listdir(slaves)) if os.path.isdir(slaves) else ():
        yield from _walk(below)


def _line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
