"""The log of XFS, here one that has a device of its own: only its records say whose it is.

fs/xfs/libxfs/xfs_log_format.h. A mount writes to the log: a transaction, at least the record of the
unmount, even when read-only (xfs_log_unmount_write, xfs_log_writable). The log is a ring of blocks
of 512 bytes. Each begins with the number of the turn in which it was written, its *cycle*; the
*head* is where the cycle falls by one. Every write moves it.
"""

import hashlib
import struct
from bisect import bisect_left

from guard.device import Read, pieces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guard.clusters import Digest

BLOCK = 512
_RECORD_MAGIC = b"\xfe\xed\xba\xbe"
"""XLOG_HEADER_MAGIC_NUM: a record's header, with the cycle behind it."""
_RECORD_UUID = 304
_MAX_RECORD = 512 << 10
"""Where a record ends at the latest that began with the log: 256 KiB and its headers."""
_BEFORE_HEAD = 64 << 10


def identify(read: Read) -> bytes | None:
    """Return the UUID of the file system that the log is of, None if it is none."""
    begin = read(0, _MAX_RECORD)
    for at in range(0, len(begin) - BLOCK + 1, BLOCK):
        if begin.startswith(_RECORD_MAGIC, at):
            return begin[at + _RECORD_UUID :][:16]
    return None


def fingerprint(read: Read, size: int) -> bytes:
    """Return a SHA-256 that differs once anything was written to the log."""
    digest = hashlib.sha256()
    add_log(digest, read, 0, size // BLOCK)
    return digest.digest()


def add_log(digest: "Digest", read: Read, start: int, blocks: int) -> None:
    """Add where the log ends, of so many blocks from the byte `start`, and what is before that."""
    first = _cycle(read, start)
    # The first block with another cycle; xlog_find_head in fs/xfs/xfs_log_recover.c.
    head = bisect_left(
        range(blocks), True, key=lambda block: _cycle(read, start + block * BLOCK) != first
    )
    digest.update(struct.pack("<Q", head) + first)
    size = min(head * BLOCK, _BEFORE_HEAD)
    for piece in pieces(read, start + head * BLOCK - size, size):
        digest.update(piece)


def _cycle(read: Read, offset: int) -> bytes:
    """Return the cycle of a block of the log (xlog_get_cycle)."""
    begin = read(offset, 8)
    return begin[4:] if begin[:4] == _RECORD_MAGIC else begin[:4]
