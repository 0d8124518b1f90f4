"""Where a file lies on its device: Documentation/filesystems/fiemap.rst."""

import fcntl
import struct
from collections.abc import Iterator
from dataclasses import dataclass

FS_IOC_FIEMAP = 0xC020660B
FS_IOC_FSGETXATTR = 0x801C581F

LAST = 0x1
UNWRITTEN = 0x800
MERGED = 0x1000
SHARED = 0x2000
HARMLESS = LAST | UNWRITTEN | MERGED
"""Flags of an extent that has its own place on the device; any other says that it may not."""

_FLAG_SYNC = 1
_XFLAG_REALTIME = 1
_HEAD = struct.Struct("=QQIIII")
_EXTENT = struct.Struct("=QQQ16xI12x")
_AT_ONCE = 128


@dataclass(frozen=True, slots=True)
class FileExtent:
    """A run of bytes of a file and where it is; all in bytes."""

    logical: int
    physical: int
    length: int
    flags: int


def file_extents(fd: int, *, sync: bool) -> list[FileExtent]:
    """Return the extents of the open file in its order. Raises OSError.

    With `sync` what is dirty is written first; without, a frozen file system can be asked.
    """
    return list(_extents(fd, _FLAG_SYNC if sync else 0))


def _extents(fd: int, flags: int) -> Iterator[FileExtent]:
    start = 0
    while True:
        buffer = bytearray(_HEAD.size + _AT_ONCE * _EXTENT.size)
        _HEAD.pack_into(buffer, 0, start, (1 << 64) - 1 - start, flags, 0, _AT_ONCE, 0)
        fcntl.ioctl(fd, FS_IOC_FIEMAP, buffer)
        count = _HEAD.unpack_from(buffer)[3]
        extent = None
        for number in range(count):
            extent = FileExtent(*_EXTENT.unpack_from(buffer, _HEAD.size + number * _EXTENT.size))
            yield extent
        if extent is None or extent.flags & LAST:
            return
        start = extent.logical + extent.length


def is_realtime(fd: int) -> bool:
    """Return whether the file lies on the real-time device of an xfs (xfs(5), rtdev)."""
    attributes = bytearray(28)
    try:
        fcntl.ioctl(fd, FS_IOC_FSGETXATTR, attributes)
    except OSError:
        return False
    flags: int = struct.unpack_from("=I", attributes)[0]
    return bool(flags & _XFLAG_REALTIME)
