"""btrfs: the superblock of each device (include/uapi/linux/btrfs_tree.h, btrfs_super_block).

Every transaction ends in it: its generation, and the places of the tree roots, are new then.
"""

import hashlib

from guard.device import Read

_START = 64 << 10
_SIZE = 4096
_MAGIC = b"_BHRfS_M"


def identify(read: Read) -> bytes | None:
    """Return the UUID of this device of a btrfs, None if it is no btrfs.

    A zoned btrfs keeps its superblocks elsewhere, and counts as none.
    """
    superblock = read(_START, _SIZE)
    if len(superblock) < _SIZE or superblock[64:72] != _MAGIC:
        return None
    return superblock[267:283]


def fingerprint(read: Read, _size: int) -> bytes:
    """Return a SHA-256 that differs once something was committed."""
    return hashlib.sha256(read(_START, _SIZE)).digest()
