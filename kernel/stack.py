"""What a block device is made of: /sys/class/block (Documentation/ABI/stable/sysfs-block)."""

import os
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
    place = f"{SYSFS}/dev/block/{os.major(number)}:{os.minor(number)}"
    return list(_walk(os.path.basename(os.path.realpath(place))))


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
