"""What a block device is made of: /sys/class/block (Documentation/ABI/stable/sysfs-block)."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

SYSFS = "/sys"


@dataclass(frozen=True, slots=True)
class Layer:
    """One block device of a stack."""

    name: str
    """As in /sys/class/block: sda2, dm-0, zram0."""
    dm_name: str
    """Name in /dev/mapper, or ""."""
    dm_uuid: str
    """What made a device-mapper device: CRYPT-LUKS2-…, CRYPT-PLAIN-…, LVM-…, or ""."""


def layers(path: str) -> list[Layer]:
    """Return the device at `path` and all devices below it, from the top. Raises OSError."""
    number = os.stat(path).st_rdev
    place = f"{SYSFS}/dev/block/{os.major(number)}:{os.minor(number)}"
    return list(_walk(os.path.basename(os.path.realpath(place))))


def _walk(name: str) -> Iterator[Layer]:
    folder = f"{SYSFS}/class/block/{name}"
    yield Layer(name, _line(f"{folder}/dm/name"), _line(f"{folder}/dm/uuid"))
    slaves = f"{folder}/slaves"
    for below in sorted(os.listdir(slaves)) if os.path.isdir(slaves) else ():
        yield from _walk(below)


def _line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
