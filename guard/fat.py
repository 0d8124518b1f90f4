"""FAT12, FAT16, FAT32 (fs/fat/inode.c; Microsoft's FAT specification of 2005).

Boot sector, the first FAT, and the directories. A mount sets a bit in the boot sector and the
unmount takes it back; a file that is changed in place changes in its directory entry only.

Left out is what firmware and boot loader write to an EFI system partition at each boot: FSINFO,
which says no more than the FAT, systemd-boot's directory, LOADER (src/boot/efi/random-seed.c), and
the times in its own entry, which the firmware brings up to date with what it holds (edk2's
FatPkg/EnhancedFatDxe/Flush.c).
"""

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from guard.clusters import ENTRY_SIZE, Digest, DirectoryTree, Geometry, Run, Volume
from guard.device import Read, pieces

_BOOT_SIZE = 512
_BPB = struct.Struct("<11xHBHBHHBH8xI")
_BPB_32 = struct.Struct("<36xI4xI")
_MAX_SECTOR = 4096
_MAX_CLUSTERS_12 = 4084
_BITS_32 = 28

_DELETED = 0xE5
_DOT = ord(".")
_IS_LABEL, _IS_DIRECTORY = 0x08, 0x10
_ENTRY = struct.Struct("<11sB8xH4xH4x")
_BOOT_LOADERS = b"LOADER".ljust(11)


class _Directories:
    """A digest of directories without the times of the boot loader's."""

    def __init__(self, digest: Digest) -> None:
        self._digest = digest

    def update(self, data: bytes, /) -> None:
        """Add a piece that begins with an entry."""
        if _BOOT_LOADERS in data:
            entries = (data[at : at + ENTRY_SIZE] for at in range(0, len(data), ENTRY_SIZE))
            data = b"".join(map(_without_boot_loaders_times, entries))
        self._digest.update(data)


@dataclass(frozen=True, slots=True)
class _Boot:
    """What the boot sector says, offsets and sizes in bytes."""

    data: bytes
    geometry: Geometry
    root: int
    root_size: int
    """0 where it lies in clusters: FAT32."""
    root_run: Run


def identify(read: Read) -> bytes | None:
    """Return the volume's serial number, filled with zeros; None if it is not FAT."""
    boot = _parse(read)
    if boot is None:
        return None
    at = 67 if boot.geometry.entry_bits == _BITS_32 else 39
    return boot.data[at : at + 4].ljust(16, b"\0")


def fingerprint(read: Read, size: int) -> bytes:
    """Return a SHA-256 that differs once a file was made, changed or removed."""
    digest = hashlib.sha256()
    if boot := _parse(read):
        volume = Volume(read, size, boot.geometry)
        digest.update(boot.data)
        for piece in volume.table():
            digest.update(piece)
        bits = boot.geometry.entry_bits
        directories = _Directories(digest)
        tree = DirectoryTree(volume, directories, lambda entries: _directories(entries, bits))
        tree.add_below(tree.add(pieces(read, boot.root, boot.root_size)) | {boot.root_run})
    return digest.digest()


def _parse(read: Read) -> _Boot | None:
    data = read(0, _BOOT_SIZE)
    if len(data) < _BOOT_SIZE:
        return None
    sector, per_cluster, reserved, fats, entries, few, media, fat_16, many = _BPB.unpack_from(data)
    if not (_is_power(sector) and _BOOT_SIZE <= sector <= _MAX_SECTOR and _is_power(per_cluster)):
        return None
    if not (reserved and fats and (media == 0xF0 or media >= 0xF8)):
        return None
    fat_32, root_cluster = _BPB_32.unpack_from(data)
    fat_size = fat_16 or fat_32
    root = reserved + fats * fat_size
    heap = root + -(-entries * ENTRY_SIZE // sector)
    clusters = ((few or many) - heap) // per_cluster
    if clusters <= 0 or not fat_size:
        return None
    bits = (12 if clusters <= _MAX_CLUSTERS_12 else 16) if fat_16 else _BITS_32
    geometry = Geometry(
        reserved * sector,
        fat_size * sector,
        bits,
        heap * sector,
        per_cluster * sector,
        clusters,
    )
    if fat_16:
        return _Boot(data, geometry, root * sector, entries * ENTRY_SIZE, Run(0))
    return _Boot(data, geometry, 0, 0, Run(root_cluster))


def _is_power(number: int) -> bool:
    return number.bit_count() == 1


def _directories(entries: Iterator[bytes], bits: int) -> Iterator[Run]:
    for entry in entries:
        name, attributes, high, low = _ENTRY.unpack(entry)
        kind = attributes & (_IS_LABEL | _IS_DIRECTORY)
        is_used = name[0] not in (_DELETED, _DOT)
        if kind == _IS_DIRECTORY and is_used and not _is_boot_loaders(entry):
            yield Run((high << 16 | low) & ((1 << bits) - 1))


def _without_boot_loaders_times(entry: bytes) -> bytes:
    if not _is_boot_loaders(entry):
        return entry
    # When it was made and read, 7 bytes; when it was written, 4.
    return entry[:13] + bytes(7) + entry[20:22] + bytes(4) + entry[26:]


def _is_boot_loaders(entry: bytes) -> bool:
    if len(entry) < ENTRY_SIZE or not entry.startswith(_BOOT_LOADERS):
        return False
    return entry[11] & (_IS_LABEL | _IS_DIRECTORY) == _IS_DIRECTORY
