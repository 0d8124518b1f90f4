"""Where a file lies on its device (Documentation/filesystems/fiemap.rst), and btrfs its chunks.

include/uapi/linux/btrfs.h and btrfs_tree.h.
"""

import fcntl
import os
import struct
from contextlib import suppress
from itertools import starmap
from typing import NamedTuple

# include/uapi/linux/fs.h
FS_IOC_FIEMAP = 0xC020660B
FS_IOC_FSGETXATTR = 0x801C581F
FS_IOC_GETFLAGS = 0x80086601
FS_IOC_SETFLAGS = 0x40086602
FS_NOCOW_FL = 0x00800000

# include/uapi/linux/fiemap.h
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

BTRFS_IOC_TREE_SEARCH = 0xD0009411
BTRFS_IOC_DEV_INFO = 0xD000941E

_CHUNK_TREE = 3
_FIRST_CHUNK_TREE_OBJECTID = 256
_CHUNK_ITEM_KEY = 228
_PROFILES = 0x7F8
"""BTRFS_BLOCK_GROUP_RAID0 (bit 3) to RAID1C4 (bit 10): none of them set is "single"."""

_KEY = struct.Struct("=7Q4I32x")
_ITEM = struct.Struct("=3Q2I")
_CHUNK = struct.Struct("=4Q3I2H")
_STRIPE = struct.Struct("=QQ16x")
_ARGUMENT_SIZE = 4096
_PATH_OFFSET = 3072


class FileExtent(NamedTuple):
    """A run of bytes of a file and where it is; all in bytes."""

    logical: int
    physical: int
    length: int
    flags: int


def file_extents(fd: int, *, sync: bool) -> list[FileExtent]:
    """Return the extents of the open file in its order. Raises OSError.

    With `sync` what is dirty is written first; without, a frozen file system can be asked.
    """
    found: list[FileExtent] = []
    flags, start = _FLAG_SYNC if sync else 0, 0
    while True:
        buffer = bytearray(_HEAD.size + _AT_ONCE * _EXTENT.size)
        _HEAD.pack_into(buffer, 0, start, (1 << 64) - 1 - start, flags, 0, _AT_ONCE, 0)
        fcntl.ioctl(fd, FS_IOC_FIEMAP, buffer)
        end = _HEAD.size + _HEAD.unpack_from(buffer)[3] * _EXTENT.size
        found += starmap(FileExtent, _EXTENT.iter_unpack(buffer[_HEAD.size : end]))
        if end == _HEAD.size or found[-1].flags & LAST:
            return found
        start = found[-1].logical + found[-1].length


def is_realtime(fd: int) -> bool:
    """Return whether the file lies on the real-time device of an xfs (xfs(5), rtdev)."""
    attributes = bytearray(28)
    try:
        fcntl.ioctl(fd, FS_IOC_FSGETXATTR, attributes)
    except OSError:
        return False
    flags: int = struct.unpack_from("=I", attributes)[0]
    return bool(flags & _XFLAG_REALTIME)


def is_overwritten_in_place(fd: int) -> bool:
    """Return whether btrfs writes the file where it lies: without checksums, then.

    A file gets both by the one flag, while it is empty (fs/btrfs/ioctl.c, btrfs_fileattr_set; those
    of swapon, in btrfs_swap_activate, are the same). Raises OSError.
    """
    return bool(_flags(fd) & FS_NOCOW_FL)


def overwrite_in_place(fd: int) -> None:
    """Have btrfs write an empty file where it will lie; of other file systems it is no matter."""
    with suppress(OSError):
        fcntl.ioctl(fd, FS_IOC_SETFLAGS, (_flags(fd) | FS_NOCOW_FL).to_bytes(8, "little"))


def _flags(fd: int) -> int:
    flags = bytearray(8)
    fcntl.ioctl(fd, FS_IOC_GETFLAGS, flags)
    return int.from_bytes(flags[:4], "little")


def place_on_btrfs(fd: int, logical: int) -> tuple[str, int] | None:
    """Return the device's path and the byte on it of an address that btrfs gives as `physical`.

    `fd` is any file of the file system. None where the address is in no chunk of the profile
    "single". Raises OSError.
    """
    at = 0
    while found := _chunk_from(fd, at):
        start, chunk = found
        length, _, _, kind, *_ = _CHUNK.unpack_from(chunk)
        if start <= logical < start + length:
            device, offset = _STRIPE.unpack_from(chunk, _CHUNK.size)
            if kind & _PROFILES:
                return None
            return _device_path(fd, device), offset + logical - start
        at = start + 1
    return None


def _chunk_from(fd: int, start: int) -> tuple[int, bytes] | None:
    """Return address and item of the first chunk at or behind `start`."""
    most = (1 << 64) - 1
    owner, kind = _FIRST_CHUNK_TREE_OBJECTID, _CHUNK_ITEM_KEY
    buffer = bytearray(_ARGUMENT_SIZE)
    _KEY.pack_into(buffer, 0, _CHUNK_TREE, owner, owner, start, most, 0, most, kind, kind, 1, 0)
    fcntl.ioctl(fd, BTRFS_IOC_TREE_SEARCH, buffer)
    count = _KEY.unpack_from(buffer)[9]
    if not count:
        return None
    _, _, address, _, size = _ITEM.unpack_from(buffer, _KEY.size)
    item = _KEY.size + _ITEM.size
    return address, bytes(buffer[item : item + size])


def _device_path(fd: int, device: int) -> str:
    """Return the path of the device with that id."""
    buffer = bytearray(_ARGUMENT_SIZE)
    struct.pack_into("=Q", buffer, 0, device)
    fcntl.ioctl(fd, BTRFS_IOC_DEV_INFO, buffer)
    return os.fsdecode(bytes(buffer[_PATH_OFFSET:]).split(b"\0", 1)[0])
