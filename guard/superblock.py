"""File systems whose superblock alone tells that they were written to: ext2, ext3, ext4; btrfs."""

import hashlib
from dataclasses import dataclass

from guard.device import Read


@dataclass(frozen=True, slots=True)
class Superblock:
    """Where it lies, and what is where in it, in bytes."""

    start: int
    size: int
    magic: bytes
    magic_at: int
    uuid_at: int

    def identify(self, read: Read) -> bytes | None:
        """Return the UUID of the file system, or of this device of it; None if it is another."""
        data = read(self.start, self.size)
        if len(data) < self.size or not data.startswith(self.magic, self.magic_at):
            return None
        return data[self.uuid_at : self.uuid_at + 16]

    def fingerprint(self, read: Read, _size: int) -> bytes:
        """Return a SHA-256 that differs once it was mounted writable, replayed or repaired."""
        return hashlib.sha256(read(self.start, self.size)).digest()


EXT = Superblock(1024, 1024, b"\x53\xef", 56, 104)
"""fs/ext4/ext4.h, struct ext4_super_block. A writable mount counts itself and its time there and
writes that at once (ext4_setup_super); a replay of the journal, and e2fsck, write it last."""

BTRFS = Superblock(64 << 10, 4096, b"_BHRfS_M", 64, 267)
"""include/uapi/linux/btrfs_tree.h, btrfs_super_block. Every transaction ends in it: its generation,
and the places of the tree roots, are new then. A zoned btrfs keeps it elsewhere, and is sampled."""
