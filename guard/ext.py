"""ext2, ext3, ext4: the superblock (fs/ext4/ext4.h, struct ext4_super_block).

A writable mount counts itself and its time there and writes that at once (ext4_setup_super); a
replay of the journal, and e2fsck, write it last.
"""

import hashlib

from guard.device import Read

_START = 1024
_SIZE = 1024
_MAGIC = b"\x53\xef"


def identify(read: Read) -> bytes | None:
    """Return the file system's UUID, None if it is none of these."""
    superblock = read(_START, _SIZE)
    if len(superblock) < _SIZE or superblock[56:58] != _MAGIC:
        return None
    return superblock[104:120]


def fingerprint(read: Read, _size: int) -> bytes:
    """Return a SHA-256 that differs once it was mounted writable, replayed or repaired."""
    return hashlib.sha256(read(_START, _SIZE)).digest()
