"""NILFS2 (include/uapi/linux/nilfs2_ondisk.h): both superblocks.

A writable mount counts itself in them and clears the mark of a clean unmount, at once
(nilfs_setup_super in fs/nilfs2/super.c); so does the recovery that a read-only mount may need.
"""

import hashlib
import struct

from guard.device import Read

_START = 1024
_SIZE = 1024
_SPARE_SIZE = 4096
"""At the end, where whole blocks of this size fit: NILFS_SB2_OFFSET_BYTES."""
_SUPERBLOCK = struct.Struct("<6xH144x16s")
_MAGIC = 0x3434


def identify(read: Read) -> bytes | None:
    """Return the UUID of the file system, None if it is another."""
    data = read(_START, _SIZE)
    if len(data) < _SIZE:
        return None
    magic, uuid = _SUPERBLOCK.unpack_from(data)
    return bytes(uuid) if magic == _MAGIC else None


def fingerprint(read: Read, size: int) -> bytes:
    """Return a SHA-256 that differs once it was mounted writable or recovered."""
    digest = hashlib.sha256(read(_START, _SIZE))
    digest.update(read(max(0, size // _SPARE_SIZE - 1) * _SPARE_SIZE, _SIZE))
    return digest.digest()
