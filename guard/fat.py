"""FAT12, FAT16, FAT32 (fs/fat/inode.c; Microsoft's FAT specification of 2005).

Boot sector, the first FAT, and the directories. A mount sets a bit in the boot sector and the
unmount takes it back; a file that is changed in place changes in its directory entry only.

Left out is what firmware and boot loader write to an EFI system partition at each boot: FSINFO,
which says no more than the FAT, and the times of systemd-boot's random seed, which it writes in
place (src/boot/efi/random-seed.c), and of LOADER, in which that lies: the firmware brings them up
to date, from the file to the root (edk2's FatPkg/EnhancedFatDxe/Flush.c).
"""

import hashlib
import struct
from collections.abc import Iterator
from typing import NamedTuple

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
_ENTRY = struct.Struct("<20xH4xH4x")
_SELF = b".".ljust(11)
"""The first entry of each directory but the root."""
_LOADER = b"LOADER".ljust(11)
_RANDOM_SEED = b"RANDOM~1".ljust(11)


class _Directories:
    """A digest of directories without the times of the boot loader's own, from the root on."""

    def __init__(self, digest: Digest, bits: int) -> None:
        self._digest = digest
        self._bits = bits
        self._timeless: bytes | None = _LOADER
        """The name of an entry whose times are left out, in the directory that is being added."""
        self._loaders: Run | None = None

    def update(self, data: bytes, /) -> None:
        """Add a piece that begins with an entry."""
        if data.startswith(_SELF):
            is_loaders = _run_of(data[:ENTRY_SIZE], self._bits) == self._loaders
            self._timeless = _RANDOM_SEED if is_loaders else None
        if self._timeless and self._timeless in data:
            data = b"".join(map(self._without_times, _entries(data)))
        self._digest.update(data)

    def _without_times(self, entry: bytes) -> bytes:
        if not entry.startswith(self._timeless or _SELF) or len(entry) < ENTRY_SIZE:
            return entry
        if self._timeless == _LOADER:
            if not _is_directory(entry):
                return entry
            self._loaders = _run_of(entry, self._bits)
        # When it was made and read, 7 bytes; when it was written, 4.
        return entry[:13] + bytes(7) + entry[20:22] + bytes(4) + entry[26:]


class _Boot(NamedTuple):
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
        directories = _Directories(digest, bits)
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
        if entry[0] not in (_DELETED, _DOT) and _is_directory(entry):
            yield _run_of(entry, bits)


def _entries(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), ENTRY_SIZE):
        yield data[at : at + ENTRY_SIZE]


def _is_directory(entry: bytes) -> bool:
    return entry[11] & (_IS_LABEL | _IS_DIRECTORY) == _IS_DIRECTORY


def _run_of(entry: bytes, bits: int) -> Run:
    """Return where it lies, by its number as far as that is the table's."""
    high, low = _ENTRY.unpack(entry)
    return Run((high << 16 | low) & ((1 << bits) - 1))
