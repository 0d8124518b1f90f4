"""NTFS (fs/ntfs3/ntfs.h).

The boot sector, all of $MFT, the beginning of $LogFile, and $Bitmap. Linux' drivers write no
journal: a file that they change in place changes in its record in $MFT only. Windows logs
whatever it does. $MFT is read wholly or not at all: one that is too large or corrupt is no NTFS.
"""

import hashlib
import struct
from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from guard.device import Read, pieces

MAX_MFT = 2 << 30
MAX_BITMAP = 64 << 20
MAX_LOG = 64 << 10
"""The restart pages, which say where the log ends, and what follows them."""
MAX_RUNS = 1 << 16
MAX_READS = 90_000
"""Of one fingerprint: beyond those the device counts as at its end. A sound volume takes far fewer,
one whose $MFT has MAX_RUNS some 70,000; a crafted one has as many runs in $Bitmap."""

_BOOT_SIZE = 512
_NAME = b"NTFS    "
_BOOT = struct.Struct("<3x8sHB34xQ8xb7x8s")
"""Name, sector size, sectors per cluster, cluster of $MFT, record size, serial number."""
_MIN_SECTOR, _MAX_SECTOR = 512, 4096
_MAX_CLUSTER = 2 << 20
_MAX_RECORD = 4096
_MAX_PLAIN = 128

_RECORD = b"FILE"
_SECTOR = 512
"""Of a record, whatever the device's: its last two bytes stand elsewhere, in the fixups."""
_FIXUPS = struct.Struct("<4xHH")
_FIRST_ATTRIBUTE = struct.Struct("<20xH")
_LOG, _BITMAP = 2, 6
"""Numbers of records."""

_LIST, _DATA, _END = 0x20, 0x80, 0xFFFFFFFF
"""Types of attributes."""
_HEADER = struct.Struct("<IIBB")
"""Type, length, whether it lies elsewhere, length of its name."""
_RESIDENT = struct.Struct("<16xIH")
"""Length, offset."""
_ELSEWHERE = struct.Struct("<16xQ8xH14xQ")
"""Its first cluster in the whole, where its runs stand, size of the whole."""
_MIN_ATTRIBUTE = 24
_MIN_ELSEWHERE = 64
_ENTRY = struct.Struct("<IHBxQQ")
"""Of a list: type, length, length of the name, first cluster, record and its use."""
_ENTRY_SIZE = 26
_MAX_LIST = 256 << 10
_MAX_LISTED = 2048
"""Records that one file may have besides its first: so many have room for MAX_RUNS twice."""
_NUMBER = (1 << 48) - 1


class _Limited:
    """Reads up to MAX_READS times."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._left = MAX_READS

    def __call__(self, offset: int, size: int) -> bytes:
        """See Read."""
        if not self._left:
            return b""
        self._left -= 1
        return self._read(offset, size)


class _Contents:
    """Where the contents of a file lie, as far as that is known: runs of bytes on the device."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        """In the file."""
        self.size = 0
        """What the file says; more than there are bytes in the runs if it is corrupt."""

    @property
    def known(self) -> int:
        """Bytes in the runs."""
        return self._ends[-1] if self._ends else 0

    def add(self, start: int, size: int) -> bool:
        """Add a run; return False if there are too many."""
        if len(self._starts) >= MAX_RUNS:
            return False
        self._ends.append(self.known + size)
        self._starts.append(start)
        return True

    def read(self, read: Read, offset: int, size: int) -> Iterator[bytes]:
        """Yield the bytes of a range, as far as its runs are known and the device has them."""
        end = min(offset + size, self.known)
        run = bisect_right(self._ends, offset)
        while offset < end:
            left = self._ends[run] - offset
            length = self._ends[run] - (self._ends[run - 1] if run else 0)
            begin = self._starts[run] + length - left
            yield from pieces(read, begin, min(left, end - offset))
            offset, run = offset + left, run + 1


class _Volume(NamedTuple):
    """What the boot sector says, in bytes."""

    boot: bytes
    serial: bytes
    cluster_size: int
    record_size: int
    mft: int

    def records(self, read: Read) -> _Contents | None:
        """Return the whole of $MFT; None if it is too large or corrupt."""
        found = self.contents(read, read(self.mft, self.record_size))
        return found if 0 < found.size <= min(MAX_MFT, found.known) else None

    def contents(self, read: Read, record: bytes, mft: _Contents | None = None) -> _Contents:
        """Return the contents of the file that a record begins; of $MFT itself without `mft`.

        Where one record has no room for all runs, a list names others, in order.
        """
        found = _Contents()
        self._add(found, record)
        for number in islice(self._listed(read, record), _MAX_LISTED):
            self._add(found, self.record(read, mft or found, number))
        return found

    def record(self, read: Read, mft: _Contents, number: int) -> bytes:
        """Return a record of $MFT."""
        return b"".join(mft.read(read, number * self.record_size, self.record_size))

    def _add(self, found: _Contents, record: bytes) -> None:
        """Add the runs that a record has, if they come next."""
        for attribute in _attributes(record, _DATA):
            self._add_runs(found, attribute)

    def _add_runs(self, found: _Contents, attribute: bytes) -> None:
        if len(attribute) < _MIN_ELSEWHERE or not attribute[8]:
            return
        first, at, size = _ELSEWHERE.unpack_from(attribute)
        if first * self.cluster_size != found.known:
            return
        if not first:
            found.size = size
        for cluster, count in _runs(attribute, at):
            if not found.add(cluster * self.cluster_size, count * self.cluster_size):
                break

    def _listed(self, read: Read, record: bytes) -> Iterator[int]:
        """Yield the numbers of the records that a list names for the contents."""
        for attribute in _attributes(record, _LIST):
            entries = b"".join(self._list(read, attribute))
            at = 0
            while at + _ENTRY_SIZE <= len(entries):
                kind, length, name, _, number = _ENTRY.unpack_from(entries, at)
                if kind == _DATA and not name:
                    yield number & _NUMBER
                at += max(length, _ENTRY_SIZE)

    def _list(self, read: Read, attribute: bytes) -> Iterator[bytes]:
        if not attribute[8]:
            size, at = _RESIDENT.unpack_from(attribute)
            yield attribute[at : at + size]
            return
        found = _Contents()
        self._add_runs(found, attribute)
        yield from found.read(read, 0, min(found.size, _MAX_LIST))


def identify(read: Read) -> bytes | None:
    """Return the volume's serial number, filled with zeros; None if it is not NTFS."""
    volume = _parse(read)
    return volume.serial.ljust(16, b"\0") if volume and volume.records(read) else None


def fingerprint(read: Read, size: int) -> bytes:
    """Return a SHA-256 that differs once a file was made, changed or removed."""
    digest = hashlib.sha256()
    read = _Limited(read)
    volume = _parse(read)
    mft = volume.records(read) if volume else None
    if volume and mft:
        digest.update(volume.boot)
        for piece in mft.read(read, 0, min(mft.size, size)):
            digest.update(piece)
        for number, most in ((_LOG, MAX_LOG), (_BITMAP, MAX_BITMAP)):
            file = volume.contents(read, volume.record(read, mft, number), mft)
            for piece in file.read(read, 0, min(file.size, most)):
                digest.update(piece)
    return digest.digest()


def _parse(read: Read) -> _Volume | None:
    boot = read(0, _BOOT_SIZE)
    if len(boot) < _BOOT_SIZE:
        return None
    name, sector, per_cluster, mft, record, serial = _BOOT.unpack_from(boot)
    cluster_size = sector * _scaled(per_cluster)
    record_size = record * cluster_size if record > 0 else _scaled(record & 0xFF)
    if name != _NAME or not _MIN_SECTOR <= sector <= _MAX_SECTOR or sector.bit_count() != 1:
        return None
    if not sector <= cluster_size <= _MAX_CLUSTER or cluster_size.bit_count() != 1:
        return None
    if not _SECTOR <= record_size <= _MAX_RECORD or record_size.bit_count() != 1:
        return None
    return _Volume(boot, serial, cluster_size, record_size, mft * cluster_size)


def _scaled(number: int) -> int:
    """Return a number from 0 to 128, or the power of two that a byte beyond that stands for."""
    return number if number <= _MAX_PLAIN else 1 << 256 - number


def _attributes(record: bytes, kind: int) -> Iterator[bytes]:
    """Yield the attributes of a type that a record has, without those that have a name."""
    if len(record) < _SECTOR or not record.startswith(_RECORD):
        return
    record = _without_fixups(record)
    (at,) = _FIRST_ATTRIBUTE.unpack_from(record)
    while at + _HEADER.size <= len(record):
        found, length, _, name = _HEADER.unpack_from(record, at)
        if found == _END or not _MIN_ATTRIBUTE <= length <= len(record) - at:
            return
        if found == kind and not name:
            yield record[at : at + length]
        at += length


def _without_fixups(record: bytes) -> bytes:
    """Return a record with the last two bytes of each sector as they were before it was written."""
    at, count = _FIXUPS.unpack_from(record)
    fixups = record[at + 2 : at + 2 * count]
    whole = bytearray(record)
    for nth in range(min(len(fixups) // 2, len(record) // _SECTOR)):
        end = (nth + 1) * _SECTOR
        whole[end - 2 : end] = fixups[2 * nth : 2 * nth + 2]
    return bytes(whole)


def _runs(attribute: bytes, at: int) -> Iterator[tuple[int, int]]:
    """Yield first cluster and count of each run, up to one that is sparse or cannot be."""
    cluster = 0
    while at < len(attribute) and attribute[at]:
        for_cluster, for_count = divmod(attribute[at], 16)
        middle = at + 1 + for_count
        end = middle + for_cluster
        count = int.from_bytes(attribute[at + 1 : middle], "little", signed=True)
        cluster += int.from_bytes(attribute[middle:end], "little", signed=True)
        if not for_cluster or end > len(attribute) or cluster < 0 or count <= 0:
            return
        yield cluster, count
        at = end
