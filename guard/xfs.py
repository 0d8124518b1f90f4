"""XFS: the superblock, and where its log ends, which may be on another device.

fs/xfs/libxfs/xfs_format.h, xfs_log_format.h. A mount writes to the log: a transaction, at least the
record of the unmount, even when read-only (xfs_log_unmount_write, xfs_log_writable). The log is a
ring of blocks of 512 bytes. Each begins with the number of the turn in which it was written, its
*cycle*; the *head* is where the cycle falls by one. Every write moves it.
"""

import hashlib
import struct
from bisect import bisect_left
from typing import NamedTuple

from guard.clusters import Digest
from guard.device import Read, pieces

_SUPERBLOCK_SIZE = 512
_MAGIC = b"XFSB"
_BLOCK = 512
_RECORD_MAGIC = b"\xfe\xed\xba\xbe"
"""XLOG_HEADER_MAGIC_NUM: a record's header, with the cycle behind it."""
_RECORD_UUID = 304
_MAX_RECORD = 512 << 10
"""Where a record ends at the latest that began with the log: 256 KiB and its headers."""
_BEFORE_HEAD = 64 << 10
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
            _add_log(digest, read, superblock.log_start, superblock.log_blocks)
    return digest.digest()


class ExternalLog:
    """A log that has a device of its own; only its records say whose it is."""

    def identify(self, read: Read) -> bytes | None:
        """Return the UUID of the file system that the log is of, None if it is none."""
        begin = read(0, _MAX_RECORD)
        for at in range(0, len(begin) - _BLOCK + 1, _BLOCK):
            if begin.startswith(_RECORD_MAGIC, at):
                return begin[at + _RECORD_UUID :][:16]
        return None

    def fingerprint(self, read: Read, size: int) -> bytes:
        """Return a SHA-256 that differs once anything was written to the log."""
        digest = hashlib.sha256()
        _add_log(digest, read, 0, size // _BLOCK)
        return digest.digest()


def _add_log(digest: Digest, read: Read, start: int, blocks: int) -> None:
    first = _cycle(read, start)
    # The first block with another cycle; xlog_find_head in fs/xfs/xfs_log_recover.c.
    head = bisect_left(
        range(blocks), True, key=lambda block: _cycle(read, start + block * _BLOCK) != first
    )
    digest.update(struct.pack("<Q", head) + first)
    size = min(head * _BLOCK, _BEFORE_HEAD)
    for piece in pieces(read, start + head * _BLOCK - size, size):
        digest.update(piece)


def _cycle(read: Read, offset: int) -> bytes:
    """Return the cycle of a block of the log (xlog_get_cycle)."""
    begin = read(offset, 8)
    return begin[4:] if begin[:4] == _RECORD_MAGIC else begin[:4]


def _parse(read: Read) -> _Superblock | None:
    data = read(0, _SUPERBLOCK_SIZE)
    if len(data) < _SUPERBLOCK_SIZE or not data.startswith(_MAGIC):
        return None
    _, block_size, log_start, ag_blocks, log_blocks, ag_log = _GEOMETRY.unpack_from(data)
    group, block = divmod(log_start, 1 << ag_log)
    start = (group * ag_blocks + block) * block_size
    return _Superblock(data, start, log_blocks * block_size // _BLOCK)
