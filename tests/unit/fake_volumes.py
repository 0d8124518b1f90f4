"""File systems by mkfs, and by hand, in memory: what the guard reads without a device."""

import re
import struct
from collections.abc import Iterator
from pathlib import Path

from format.tables import Method
from guard.kinds import KINDS
from tests.premises.volumes import make_volume
from vm.host import run

TYPES = ("ext4", "xfs", "btrfs", "vfat", "exfat", "ntfs", "f2fs", "nilfs2")


class Memory:
    """A device that counts what is read of it."""

    def __init__(self, data: bytes | bytearray) -> None:
        self.data = data
        self.bytes_read = 0

    def read(self, offset: int, size: int) -> bytes:
        """A guard.device.Read."""
        assert 0 <= size <= 1 << 20
        assert offset >= 0
        self.bytes_read += max(size, 512)
        return bytes(self.data[offset : offset + size])


class Endless(Memory):
    """A device of any size: zeros behind its first bytes."""

    def read(self, offset: int, size: int) -> bytes:
        return super().read(offset, size).ljust(size, b"\0")


def fingerprint(method: Method, data: bytes | bytearray) -> bytes:
    return KINDS[method].fingerprint(Memory(data).read, len(data))


def changes(method: Method, data: bytes | bytearray, at: int) -> bool:
    """Return whether a byte counts."""
    changed = bytearray(data)
    changed[at] ^= 0x80
    return fingerprint(method, changed) != fingerprint(method, data)


def bytes_read(method: Method, device: Memory, size: int = 0) -> int:
    """Return how much of a device of this size, or that of its data, its fingerprint takes."""
    device.bytes_read = 0
    KINDS[method].fingerprint(device.read, size or len(device.data))
    return device.bytes_read


def make_image(folder: Path, fs_type: str, *options: str) -> tuple[bytes, dict[str, str]]:
    """Return the first 16 MiB of what mkfs makes, and what blkid says of it."""
    volume = make_volume(folder / f"{fs_type}.img", fs_type, *options)
    with volume.path.open("rb") as file:
        data = file.read(16 << 20)
    return data, blkid(volume.path)


def blkid(path: Path) -> dict[str, str]:
    said = run("blkid", "--probe", "--output", "export", path)
    return dict(re.findall("^(.*?)=(.*)$", said, re.MULTILINE))


class Clusters:
    """A file system of clusters whose tables and directories are written by hand."""

    data: bytearray
    heap: int
    cluster_size: int

    def place(self, cluster: int) -> int:
        return self.heap + (cluster - 2) * self.cluster_size

    def write(self, at: int, entries: bytes) -> None:
        self.data[at : at + len(entries)] = entries

    def fill(self, entries: bytes, *clusters: int) -> None:
        """Have clusters of a directory be full of these entries, the last of them cut off."""
        full = entries * -(-self.cluster_size // len(entries))
        for cluster in clusters:
            self.write(self.place(cluster), full[: self.cluster_size])


class FatImage(Clusters):
    """A FAT in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)
        self.sector, per_cluster, reserved, fats, entries = struct.unpack_from(
            "<HBHBH", self.data, 11
        )
        (small,) = struct.unpack_from("<H", self.data, 22)
        (large,) = struct.unpack_from("<I", self.data, 36)
        self.table = reserved * self.sector
        self.table_size = (small or large) * self.sector
        self.root = self.table + fats * self.table_size
        self.heap = self.root + entries * 32
        self.cluster_size = per_cluster * self.sector

    def link(self, bits: int, cluster: int, follower: int) -> None:
        """Write an entry of the first table."""
        at, shift = divmod(cluster * bits, 8)
        at += self.table
        old = int.from_bytes(self.data[at : at + 4], "little") & ~(((1 << bits) - 1) << shift)
        self.data[at : at + 4] = (old | follower << shift).to_bytes(4, "little")

    def chain(self, bits: int, *clusters: int) -> None:
        for cluster, follower in zip(clusters, (*clusters[1:], (1 << bits) - 1), strict=True):
            self.link(bits, cluster, follower)


def fat_entry(name: bytes, attributes: int, cluster: int) -> bytes:
    high, low = divmod(cluster, 1 << 16)
    return struct.pack("<11sB8xH4xH4x", name, attributes, high, low)


class ExfatImage(Clusters):
    """An exFAT in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)
        table, _, heap, _, self.root = struct.unpack_from("<5I", self.data, 80)
        shift, cluster_shift = self.data[108:110]
        self.table: int = table << shift
        self.heap = heap << shift
        self.cluster_size = 1 << shift + cluster_shift

    def link(self, cluster: int, follower: int) -> None:
        """Write an entry of the table."""
        struct.pack_into("<I", self.data, self.table + 4 * cluster, follower)

    def entries(self, cluster: int) -> Iterator[bytes]:
        for at in range(self.place(cluster), self.place(cluster + 1), 32):
            yield bytes(self.data[at : at + 32])


def exfat_entries(attributes: int, flags: int, first: int, length: int) -> bytes:
    """Return the entries of a file or directory: file, stream, name."""
    file = struct.pack("<BBHH26x", 0x85, 2, 0, attributes)
    stream = struct.pack("<BB18xIQ", 0xC0, flags, first, length)
    return file + stream + struct.pack("<BB30s", 0xC1, 0, "name".encode("utf-16le"))


def xfs_image(head: int, cycle: int, blocks: int = 1024) -> bytearray:
    """Return a superblock and a log whose blocks before `head` are of `cycle`, the others older."""
    block_size, ag_blocks, ag_log = 4096, 1000, 10
    data = bytearray(2048 * block_size)
    struct.pack_into(">4sI", data, 0, b"XFSB", block_size)
    struct.pack_into(">QII", data, 48, 1 << ag_log | 16, 0, 0)
    struct.pack_into(">I8xI", data, 84, ag_blocks, blocks * 512 // block_size)
    data[124] = ag_log
    start = (ag_blocks + 16) * block_size
    for nth in range(blocks):
        turn = cycle if nth < head else cycle - 1
        if nth % 7:
            struct.pack_into(">I", data, start + nth * 512, turn)
        else:
            struct.pack_into(">4sI", data, start + nth * 512, b"\xfe\xed\xba\xbe", turn)
    return data


XFS_LOG = (1000 + 16) * 4096


NTFS_CLUSTER = 1024
"""A record takes one."""


def ntfs_image(*records: bytes, mft: int = 4, mib: int = 1) -> bytearray:
    """Return a boot sector and an $MFT whose first records are these, one in each cluster."""
    data = bytearray(mib << 20)
    struct.pack_into("<3x8sHB", data, 0, b"NTFS    ", 512, NTFS_CLUSTER // 512)
    struct.pack_into("<Q8xb7x8s", data, 48, mft, -10, b"SERIAL#1")
    for nth, record in enumerate(records):
        at = (mft + nth) * NTFS_CLUSTER
        data[at : at + len(record)] = record
    return data


def ntfs_record(*attributes: bytes) -> bytes:
    """Return a record: the last two bytes of its sectors stand at its beginning instead."""
    body = b"".join(attributes) + b"\xff" * 4
    record = bytearray(struct.pack("<4sHH12xH34x", b"FILE", 48, 3, 56) + body)
    record = record.ljust(1024, b"\0")
    struct.pack_into("<H2s2s", record, 48, 7, record[510:512], record[1022:1024])
    record[510:512] = record[1022:1024] = b"\x07\0"
    return bytes(record)


def ntfs_runs(*runs: tuple[int, int], first: int = 0, size: int | None = None) -> bytes:
    """Return an attribute that says where contents lie: clusters from one on, and how many.

    `first` is the number of their first cluster in the whole, whose bytes are `size`.
    """
    if size is None:
        size = (first + sum(count for _, count in runs)) * NTFS_CLUSTER
    said, at = b"", 0
    for start, count in runs:
        said += (
            b"\x88" + count.to_bytes(8, "little") + (start - at).to_bytes(8, "little", signed=True)
        )
        at = start
    return _ntfs_attribute(0x80, 1, struct.pack("<Q8xH14xQ8x", first, 64, size) + said + b"\0")


def ntfs_list(*numbers: int) -> bytes:
    """Return an attribute that names records in which further runs of the contents are."""
    entries = [struct.pack("<IHBxQQ8x", 0x80, 32, 0, nth, each) for nth, each in enumerate(numbers)]
    value = b"".join(entries)
    return _ntfs_attribute(0x20, 0, struct.pack("<IH2x", len(value), 24) + value)


def ntfs_padding(size: int) -> bytes:
    """Return an attribute of this size that says nothing."""
    return _ntfs_attribute(0x10, 0, bytes(size - 16))


def _ntfs_attribute(kind: int, is_elsewhere: int, rest: bytes) -> bytes:
    length = 16 + len(rest) + -len(rest) % 8
    return struct.pack("<IIB7x", kind, length, is_elsewhere) + rest + bytes(length - 16 - len(rest))
