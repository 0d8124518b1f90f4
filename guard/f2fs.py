"""F2FS (include/linux/f2fs_fs.h): the superblock, both checkpoints, and where the logs go on.

Whatever is written comes into effect with a checkpoint, which overwrites the older one of the two;
the unmount writes one, too. What was synced since (fsync) is behind the end of the logs.
"""

import hashlib
import struct
from collections.abc import Iterator
from typing import NamedTuple

from guard.device import Read

_START = 1024
_SUPERBLOCK_SIZE = 3072
_SUPERBLOCK = struct.Struct("<I12xII52xI12xI12x16s")
"""Magic, bits of a block's size, of the blocks of a segment, checkpoints, main area, UUID."""
_MAGIC = 0xF2F52010
_BLOCK_BITS = range(12, 17)
_MAX_SEGMENT_BITS = 20

_LOGS = struct.Struct("<36x8I8H8I8H")
"""Segment and block where each log for nodes goes on; the same for data."""
_LOG_COUNT = 3
"""Of nodes, and of data: hot, warm, cold."""


class _Superblock(NamedTuple):
    data: bytes
    uuid: bytes
    block_bits: int
    segment_bits: int
    checkpoints: int
    """Number of a block; as is `main`."""
    main: int

    def blocks(self, read: Read) -> Iterator[bytes]:
        """Yield what changes with the file system."""
        for nth in range(2):
            checkpoint = self._block(read, self.checkpoints + (nth << self.segment_bits))
            yield checkpoint
            if len(checkpoint) >= _LOGS.size:
                for number in self._ends(_LOGS.unpack_from(checkpoint)):
                    yield self._block(read, number)

    def _ends(self, logs: tuple[int, ...]) -> Iterator[int]:
        for first in (0, 16):
            for nth in range(first, first + _LOG_COUNT):
                yield self.main + (logs[nth] << self.segment_bits) + logs[nth + 8]

    def _block(self, read: Read, number: int) -> bytes:
        return read(number << self.block_bits, 1 << self.block_bits)


def identify(read: Read) -> bytes | None:
    """Return the UUID of the file system, None if it is another."""
    superblock = _parse(read)
    return superblock.uuid if superblock else None


def fingerprint(read: Read, _size: int) -> bytes:
    """Return a SHA-256 that differs once it was written to or unmounted."""
    digest = hashlib.sha256()
    if superblock := _parse(read):
        digest.update(superblock.data)
        for block in superblock.blocks(read):
            digest.update(block)
    return digest.digest()


def _parse(read: Read) -> _Superblock | None:
    data = read(_START, _SUPERBLOCK_SIZE)
    if len(data) < _SUPERBLOCK_SIZE:
        return None
    magic, block_bits, segment_bits, checkpoints, main, uuid = _SUPERBLOCK.unpack_from(data)
    if magic != _MAGIC or block_bits not in _BLOCK_BITS or segment_bits > _MAX_SEGMENT_BITS:
        return None
    return _Superblock(data, uuid, block_bits, segment_bits, checkpoints, main)
