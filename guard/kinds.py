"""Which file system gets which fingerprint."""

from collections.abc import Callable
from dataclasses import dataclass

from format.tables import Method
from guard import btrfs, exfat, ext, fat, sample, xfs
from guard.device import Read

OF_TYPE = {
    "ext2": Method.EXT,
    "ext3": Method.EXT,
    "ext4": Method.EXT,
    "xfs": Method.XFS,
    "btrfs": Method.BTRFS,
    "vfat": Method.FAT,
    "msdos": Method.FAT,
    "exfat": Method.EXFAT,
}
"""By types as in /proc/mounts; all others are sampled."""


@dataclass(frozen=True, slots=True)
class Kind:
    """The two functions of a module of this package."""

    identify: Callable[[Read], bytes | None]
    fingerprint: Callable[[Read, int], bytes]


KINDS = {
    Method.EXT: Kind(ext.identify, ext.fingerprint),
    Method.XFS: Kind(xfs.identify, xfs.fingerprint),
    Method.BTRFS: Kind(btrfs.identify, btrfs.fingerprint),
    Method.FAT: Kind(fat.identify, fat.fingerprint),
    Method.EXFAT: Kind(exfat.identify, exfat.fingerprint),
    Method.SAMPLE: Kind(sample.identify, sample.fingerprint),
}
