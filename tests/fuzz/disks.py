"""A small disk for each kind of fingerprint, and the guard that has them all."""

import struct

from format.first_page import empty_store
from format.tables import Method
from guard.kinds import KINDS
from tests import forge
from tests.forge import PAGE
from tests.unit.fake_root import bcachefs, btrfs, ext
from tests.unit.fake_volumes import XFS_LOG as LOG_AT
from tests.unit.fake_volumes import Memory, ntfs_image, ntfs_record, ntfs_runs, xfs_image
from tests.vectors.images import noise

_LOG = slice(LOG_AT, LOG_AT + 1024 * 512)


def _fat() -> bytes:
    boot = struct.pack("<11xHBHBHHBH", 512, 1, 1, 1, 16, 100, 0xF8, 1).ljust(39, b"\0")
    return (boot + b"FAT1").ljust(100 * 512, b"\0")


def _exfat() -> bytes:
    boot = bytearray(struct.pack("<80x5I4s4xBB", 24, 1, 32, 64, 2, b"EXF1", 9, 0))
    boot[3:11] = b"EXFAT   "
    return bytes(boot).ljust(96 * 512, b"\0")


def _f2fs() -> bytes:
    superblock = struct.pack(
        "<I12xII52xI12xI12x16s", 0xF2F52010, 12, 1, 2, 8, forge.UUID_B.bytes[::-1]
    )
    return (bytes(1024) + superblock).ljust(16 * PAGE, b"\0")


def _nilfs2() -> bytes:
    superblock = struct.pack("<6xH144x16s", 0x3434, forge.UUID_A.bytes[::-1])
    return (bytes(1024) + superblock).ljust(4 * PAGE, b"\0")


DISKS: dict[Method, bytes] = {
    Method.EXT: ext(forge.UUID_B.bytes),
    Method.XFS: bytes(xfs_image(500, 5)),
    Method.BTRFS: btrfs(),
    Method.FAT: _fat(),
    Method.EXFAT: _exfat(),
    Method.SAMPLE: noise(6 * PAGE),
    Method.NTFS: bytes(ntfs_image(ntfs_record(ntfs_runs((4, 8))), mib=1)),
    Method.F2FS: _f2fs(),
    Method.NILFS2: _nilfs2(),
    Method.BCACHEFS: bcachefs(),
    Method.XFS_LOG: bytes(xfs_image(500, 5)[_LOG]),
    Method.SWAP: empty_store(4, forge.UUID_B.bytes),
}


def _entry(method: Method, data: bytes) -> bytes:
    read = Memory(data).read
    kind = KINDS[method]
    return forge.guard_entry(
        method=method,
        identity=(kind.identify(read) or b"").ljust(16, b"\0"),
        fingerprint=kind.fingerprint(read, len(data)),
        size=len(data),
        layers=b"disk",
    )


ENTRIES = {method: _entry(method, data) for method, data in DISKS.items()}
GUARD = forge.guard(*ENTRIES.values())
SMALL_GUARD = forge.guard(ENTRIES[Method.EXT], ENTRIES[Method.SAMPLE])
