"""What a device of device-mapper does: its table (include/uapi/linux/dm-ioctl.h)."""

import fcntl
import os
import struct
from typing import NamedTuple

from linux.block import encode_device
from linux.open_file import OpenFile

CONTROL = "/dev/mapper/control"

DM_TABLE_STATUS = 0xC138FD0C
_VERSION = (4, 0, 0)
_TABLE, _BUFFER_FULL, _SECURE = 1 << 4, 1 << 8, 1 << 15

_HEADER = struct.Struct("=3I2I2I2I4xQ128s129s7x")
"""struct dm_ioctl: version, data size, data start, targets, open count, flags, event, device."""
_TARGET = struct.Struct("=QQiI16s")
"""struct dm_target_spec: first sector, sectors, status, where the next one begins, type."""
_MOST = 16 << 20


class Target(NamedTuple):
    """A line of a table."""

    start: int
    """In sectors of 512 bytes, as is `length`."""
    length: int
    kind: str
    """linear, crypt, thin and so on."""
    parameters: str
    """As `dmsetup table --showkeys` has them; other devices are MAJOR:MINOR."""


def table(number: str) -> list[Target]:
    """Return the table of the device MAJOR:MINOR, with the keys of a crypt target.

    Raises OSError: ENXIO where it is no device of device-mapper.
    """
    major, _, minor = number.partition(":")
    device = os.makedev(int(major), int(minor))
    size = 16 << 10
    with OpenFile(os.open(CONTROL, os.O_RDWR | os.O_CLOEXEC)) as control:
        while True:
            data = bytearray(size)
            _HEADER.pack_into(
                data, 0, *_VERSION, size, _HEADER.size, 0, 0, _TABLE | _SECURE, 0,
                encode_device(device), b"", b"",
            )  # fmt: skip
            fcntl.ioctl(control.fd, DM_TABLE_STATUS, data)
            *_, targets, _, flags, _, _, _, _ = _HEADER.unpack_from(data)
            if not flags & _BUFFER_FULL or size >= _MOST:
                return _targets(data, targets)
            size *= 4


def _targets(data: bytearray, count: int) -> list[Target]:
    found = []
    at = _HEADER.size
    for _ in range(count):
        start, length, _, following, kind = _TARGET.unpack_from(data, at)
        begin = at + _TARGET.size
        parameters = data[begin : data.index(0, begin)].decode(errors="surrogateescape")
        found.append(Target(start, length, kind.rstrip(b"\0").decode(), parameters))
        at = _HEADER.size + following
    return found
