"""XFS: the superblock (fs/xfs/libxfs/xfs_format.h), and where its log ends, if it has that here."""

import hashlib
import struct
from typing import NamedTuple

from guard.device import Read
from guard.xfs_log import BLOCK, add_log

_SUPERBLOCK_SIZE = 512
_MAGIC = b"XFSB"
_GEOMETRY = struct.Struct(">4sI40xQ28xI8xI24xB")
"""sb_magicnum, sb_blocksize, sb_logstart, sb_agblocks, sb_logblocks, sb_agblklog."""


class _Superblock(NamedTuple):
    data: bytes
    log_start: int
    """In bytes; 0 if it is on another device."""
    log_blocks: int


def identify(read: Read) -> bytes | None:
    """Return the file system's UUID, None if it is not XFS."""
    superblock = _parse(read)
    return superblock.data[32:48] if superblock else None


def fingerprint(read: Read, _size: int) -> bytes:
    """Return a SHA-256 that differs once anything was written to the log, if it has that here."""
    superblock = _parse(read)
    digest = hashlib.sha256()
    if superblock:
        digest.update(superblock.data)
        if superblock.log_start:
            add_log(digest, read, superblock.log_start, superblock.log_blocks)
    return digest.digest()


def _parse(read: Read) -> _Superblock | None:
    data = read(0, _SUPERBLOCK_SIZE)
    if len(data) < _SUPERBLOCK_SIZE or not data.startswith(_MAGIC):
        return None
    _, block_size, log_start, ag_blocks, log_blocks, ag_log = _GEOMETRY.unpack_from(data)
    group, block = divmod(log_start, 1 << ag_log)
    start = (group * ag_blocks + block) * block_size
    return _Superblock(data, start, log_blocks * block_size // BLOCK)
