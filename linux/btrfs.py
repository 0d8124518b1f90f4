"""Where btrfs puts things: include/uapi/linux/btrfs.h and btrfs_tree.h."""

import fcntl
import struct

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


def physical(fd: int, logical: int) -> tuple[int, int] | None:
    """Return device id and byte offset there of btrfs's address `logical`.

    None where it is in no chunk of the profile "single". Raises OSError.
    """
    at = 0
    while found := _chunk_from(fd, at):
        start, chunk = found
        length, _, _, kind, *_ = _CHUNK.unpack_from(chunk)
        if start <= logical < start + length:
            device, offset = _STRIPE.unpack_from(chunk, _CHUNK.size)
            return None if kind & _PROFILES else (device, offset + logical - start)
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


def device_path(fd: int, device: int) -> str:
    """Return the path of the device with that id. Raises OSError."""
    buffer = bytearray(_ARGUMENT_SIZE)
    struct.pack_into("=Q", buffer, 0, device)
    fcntl.ioctl(fd, BTRFS_IOC_DEV_INFO, buffer)
    return bytes(buffer[_PATH_OFFSET:]).split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
