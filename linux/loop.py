"""Loop devices: which file holds one (include/uapi/linux/loop.h)."""

import fcntl
import os
import struct
from typing import NamedTuple

from linux.block import decode_device
from linux.open_file import OpenFile

LOOP_GET_STATUS64 = 0x4C05

_STATUS = struct.Struct("=4Q200x")
"""The beginning of struct loop_info64: lo_device, lo_inode, lo_rdevice, lo_offset."""


class LoopFile(NamedTuple):
    """What stat(2) says of a loop device's file."""

    file_system: str
    """MAJOR:MINOR; on btrfs and overlays it may be another than mountinfo's."""
    inode: int
    device: str = ""
    """MAJOR:MINOR where it is no file but a block device, else ""."""
    offset: int = 0
    """Byte of it at which the loop device begins."""


def file_of(path: str) -> LoopFile:
    """Return what holds a loop device. Raises OSError: ENXIO where nothing does."""
    data = bytearray(_STATUS.size)
    with OpenFile(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)) as loop:
        fcntl.ioctl(loop.fd, LOOP_GET_STATUS64, data)
    number, inode, itself, offset = _STATUS.unpack(data)
    device = decode_device(itself) if itself else ""
    return LoopFile(decode_device(number), inode, device, offset)
