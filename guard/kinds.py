"""Which file system gets which fingerprint."""

from typing import Protocol

from format.tables import Method
from guard import exfat, fat, sample, xfs
from guard.device import Read
from guard.superblock import BTRFS, EXT

OF_TYPE = {
    **dict.fromkeys(("ext2", "ext3", "ext4"), Method.EXT),
    "xfs": Method.XFS,
    "btrfs": Method.BTRFS,
    **dict.fromkeys(("vfat", "msdos"), Method.FAT),
    "exfat": Method.EXFAT,
}
"""By types as in /proc/mounts; all others are sampled."""


class Kind(Protocol):
    """A kind of fingerprint: some are modules of this package."""

    def identify(self, read: Read, /) -> bytes | None:
        """Return what names a file system of this kind, None if it is none."""

    def fingerprint(self, read: Read, size: int, /) -> bytes:
        """Return a SHA-256 of what changes with it."""


KINDS: dict[Method, Kind] = {
    Method.EXT: EXT,
    Method.XFS: xfs,
    Method.BTRFS: BTRFS,
    Method.FAT: fat,
    Method.EXFAT: exfat,
    Method.SAMPLE: sample,
}
