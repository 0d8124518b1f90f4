"""Which file system gets which fingerprint; of some one superblock alone tells enough."""

import hashlib
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple, Protocol, cast

from format.tables import Method
from guard import sample, swap
from guard.device import Read

OF_TYPE = {
    **dict.fromkeys(("ext2", "ext3", "ext4"), Method.EXT),
    "xfs": Method.XFS,
    "btrfs": Method.BTRFS,
    **dict.fromkeys(("vfat", "msdos"), Method.FAT),
    "exfat": Method.EXFAT,
    **dict.fromkeys(("ntfs", "ntfs3"), Method.NTFS),
    "f2fs": Method.F2FS,
    "nilfs2": Method.NILFS2,
    "bcachefs": Method.BCACHEFS,
}
"""By types as in /proc/mounts; all others are sampled."""

_SERVED = (Method.NTFS, Method.EXFAT, Method.FAT)
"""What a process may serve (fuseblk): kinds that show a change whoever made it."""


class Kind(Protocol):
    """A kind of fingerprint: some are modules of this package."""

    def identify(self, read: Read, /) -> bytes | None:
        """Return what names a file system of this kind, None if it is none."""

    def fingerprint(self, read: Read, size: int, /) -> bytes:
        """Return a SHA-256 of what changes with it."""


class ByNeed(NamedTuple):
    """A module that is imported where such a file system is met: few machines have several."""

    name: str

    @property
    def _kind(self) -> Kind:
        return cast("Kind", import_module(self.name))

    def identify(self, read: Read) -> bytes | None:
        """See Kind."""
        return self._kind.identify(read)

    def fingerprint(self, read: Read, size: int) -> bytes:
        """See Kind: its `identify` has been asked, so that nothing is imported while all stops."""
        return self._kind.fingerprint(read, size)


class Superblock(NamedTuple):
    """One that any write changes: where it lies, and what is where in it, in bytes."""

    start: int
    size: int
    magic: bytes
    magic_at: int
    uuid_at: int
    member_at: int = 0
    """Where the number of this device of the file system is, one byte; 0 if the UUID is its own."""

    def identify(self, read: Read) -> bytes | None:
        """Return the UUID of the file system, or of this device of it; None if it is another."""
        data = read(self.start, self.size)
        if len(data) < self.size or not data.startswith(self.magic, self.magic_at):
            return None
        uuid = data[self.uuid_at : self.uuid_at + 16]
        return uuid[:-1] + data[self.member_at :][:1] if self.member_at else uuid

    def fingerprint(self, read: Read, _size: int) -> bytes:
        """Return a SHA-256 that differs once it was mounted writable, replayed or repaired."""
        return hashlib.sha256(read(self.start, self.size)).digest()


EXT = Superblock(1024, 1024, b"\x53\xef", 56, 104)
"""fs/ext4/ext4.h, struct ext4_super_block. A writable mount counts itself and its time there and
writes that at once (ext4_setup_super); a replay of the journal, and e2fsck, write it last."""

BTRFS = Superblock(64 << 10, 4096, b"_BHRfS_M", 64, 267)
"""include/uapi/linux/btrfs_tree.h, btrfs_super_block. Every transaction ends in it: its generation,
and the places of the tree roots, are new then. A zoned btrfs keeps it elsewhere, and is sampled."""

BCACHEFS = Superblock(
    4096, 4096, bytes.fromhex("c68573f666ce90a9d96a60cf803df7ef"), 24, 40, member_at=122
)
"""fs/bcachefs/bcachefs_format.h, struct bch_sb. It counts how often it was written; to go from
clean to in use and back writes it on all devices, and so does to freeze and to thaw
(bch2_fs_mark_dirty, bch2_fs_mark_clean in fs/bcachefs/sb-clean.c). A checksum covers its rest."""

KINDS: dict[Method, Kind] = {
    Method.EXT: EXT,
    Method.XFS: ByNeed("guard.xfs"),
    Method.BTRFS: BTRFS,
    Method.FAT: ByNeed("guard.fat"),
    Method.EXFAT: ByNeed("guard.exfat"),
    Method.SAMPLE: sample,
    Method.NTFS: ByNeed("guard.ntfs"),
    Method.F2FS: ByNeed("guard.f2fs"),
    Method.NILFS2: ByNeed("guard.nilfs2"),
    Method.BCACHEFS: BCACHEFS,
    Method.XFS_LOG: ByNeed("guard.xfs_log"),
    Method.SWAP: swap,
}


def recognize(fs_type: str, read: Read) -> tuple[Method, bytes]:
    """Return how to take the fingerprint of what is mounted as a type, and its identity."""
    for method in _methods(fs_type):
        if (identity := KINDS[method].identify(read)) is not None:
            return method, identity
    return Method.SAMPLE, sample.identify(read)


def _methods(fs_type: str) -> Sequence[Method]:
    """Return what the devices of a file system may have on them."""
    if fs_type.startswith("fuseblk"):
        return _SERVED
    if fs_type == "xfs":
        return (Method.XFS, Method.XFS_LOG)
    return (OF_TYPE.get(fs_type, Method.SAMPLE),)
