"""exFAT (Microsoft's exFAT specification; fs/exfat/exfat_raw.h).

The boot region, the FAT, the allocation bitmap and the directories: as with FAT, only these show
a file that was changed in place.
"""

import hashlib
import struct
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from guard.clusters import MAX_TABLE, DirectoryTree, Geometry, Run, Volume
from guard.device import Read

_SECTOR = 512
_BOOT_SECTORS = 12
_NAME = b"EXFAT   "
_BOOT = struct.Struct("<80x5I4s4xBB")
_MIN_SECTOR_SHIFT, _MAX_SECTOR_SHIFT = 9, 12
_MAX_CLUSTER_SHIFT = 25

_BITMAP, _FILE, _STREAM = 0x81, 0x85, 0xC0
_MAX_BITMAPS = 2
"""The second one is TexFAT's; a corrupt root may name any number."""
_IS_DIRECTORY = 0x10
_NO_TABLE = 0x02
"""A stream's clusters follow each other, and are not in the table."""
_PLACE = struct.Struct("<20xIQ")


class _Boot(NamedTuple):
    serial: bytes
    region_size: int
    geometry: Geometry
    root: Run


def identify(read: Read) -> bytes | None:
    """Return the volume's serial number, filled with zeros; None if it is not exFAT."""
    boot = _parse(read)
    return boot.serial.ljust(16, b"\0") if boot else None


def fingerprint(read: Read, size: int) -> bytes:
    """Return a SHA-256 that differs once a file was made, changed or removed."""
    digest = hashlib.sha256()
    if boot := _parse(read):
        volume = Volume(read, size, boot.geometry)
        digest.update(read(0, boot.region_size))
        for piece in volume.table():
            digest.update(piece)
        tree = DirectoryTree(
            volume, digest, lambda entries: _directories(entries, boot.geometry.cluster_size)
        )
        root = tree.entries(volume.contents(boot.root, MAX_TABLE))
        bitmaps = (_PLACE.unpack(entry) for entry in root if entry[0] == _BITMAP)
        for first, length in islice(bitmaps, _MAX_BITMAPS):
            for piece in volume.contents(Run(first), min(length, MAX_TABLE)):
                digest.update(piece)
        tree.add_below({boot.root})
    return digest.digest()


def _parse(read: Read) -> _Boot | None:
    data = read(0, _SECTOR)
    if len(data) < _SECTOR or data[3:11] != _NAME:
        return None
    table, table_size, heap, clusters, root, serial, shift, cluster_shift = _BOOT.unpack_from(data)
    if not _MIN_SECTOR_SHIFT <= shift <= _MAX_SECTOR_SHIFT:
        return None
    if shift + cluster_shift > _MAX_CLUSTER_SHIFT:
        return None
    geometry = Geometry(
        table << shift, table_size << shift, 32, heap << shift, 1 << shift + cluster_shift, clusters
    )
    return _Boot(serial, _BOOT_SECTORS << shift, geometry, Run(root))


def _directories(entries: Iterator[bytes], cluster_size: int) -> Iterator[Run]:
    """Yield the directories: a file's entry says that it is one, its stream's where it lies."""
    is_directory = False
    for entry in entries:
        if entry[0] == _FILE:
            is_directory = bool(entry[4] & _IS_DIRECTORY)
        elif entry[0] == _STREAM and is_directory:
            first, length = _PLACE.unpack(entry)
            yield Run(first, -(-length // cluster_size) if entry[1] & _NO_TABLE else 0)
