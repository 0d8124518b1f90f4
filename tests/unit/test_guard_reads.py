"""How often the guard reads, whatever an image or a file system says."""

import os
import resource
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from errors import ChangedError
from format.tables import GuardEntry, Method
from guard import clusters, exfat, fat
from guard.clusters import MAX_JUMPS
from guard.compare import compare
from guard.device import Device
from guard.kinds import KINDS
from tests.tools import failing
from tests.unit.fake_root import UUID_1, Disks, ext
from tests.unit.fake_volumes import Memory

SECTOR = 512
CLUSTERS = 1 << 20
TABLE = 1 << 16
HEAP = TABLE + 4 * CLUSTERS
SIZE = HEAP + CLUSTERS * SECTOR


def boot_of_exfat() -> bytes:
    words = (TABLE // SECTOR, 1, HEAP // SECTOR, CLUSTERS, 2, b"abcd", 9, 0)
    boot = bytearray(struct.pack("<80x5I4s4xBB", *words))
    boot[3:11] = b"EXFAT   "
    return bytes(boot)


def boot_of_fat() -> bytes:
    heap = HEAP // SECTOR
    head = struct.pack(
        "<11xHBHBHHBH8xI", SECTOR, 1, TABLE // SECTOR, 1, 0, 0, 0xF8, 0, heap + CLUSTERS
    )
    return head + struct.pack("<II", heap - TABLE // SECTOR, 0) + struct.pack("<I", 2)


def entries_of_exfat(cluster: int) -> bytes:
    """Return the entries of four directories, those of the root behind two large bitmaps."""
    bitmap = b"\x81".ljust(20, b"\1") + struct.pack("<IQ", 77, 64 << 20)
    found = [
        b"\x85\0\0\0\x10\0".ljust(32, b"\1")
        + b"\xc0\0".ljust(20, b"\1")
        + struct.pack("<IQ", _somewhere(cluster + number << 20), SECTOR)
        for number in range(8)
    ]
    return (bitmap * 2 * (cluster == 2) + b"".join(found))[:SECTOR]


def entries_of_fat(cluster: int) -> bytes:
    places = (_somewhere(cluster + number << 20) for number in range(16))
    return b"".join(
        struct.pack("<11sB8xH4xH4x", b"A" * 11, 0x10, place >> 16, place & 0xFFFF)
        for place in places
    )


def _somewhere(number: int) -> int:
    return number * 1_103_515_245 % (CLUSTERS - 100) + 50


class Scattered:
    """A volume whose chains never end and jump at each cluster, full of directories."""

    def __init__(self, kind: str) -> None:
        boots = {"exfat": boot_of_exfat, "fat": boot_of_fat}
        self._boot = boots[kind]().ljust(SECTOR, b"\0")
        self._entries = {"exfat": entries_of_exfat, "fat": entries_of_fat}[kind]
        self.reads = self.bytes = 0

    def read(self, offset: int, size: int) -> bytes:
        self.reads += 1
        self.bytes += size
        if offset < SECTOR:
            return self._boot.ljust(size, b"\0")[offset : offset + size]
        return b"".join(self._pieces(offset, size))[:size]

    def _pieces(self, offset: int, size: int) -> Iterator[bytes]:
        if offset < HEAP:
            first = (offset - TABLE) // 4
            numbers = range(first, first + min(size, 8192) // 4)
            yield b"".join(struct.pack("<I", _somewhere(number)) for number in numbers)
            yield bytes(max(size - 8192, 0))
            return
        first = (offset - HEAP) // SECTOR + 2
        for cluster in range(first, first + -(-size // SECTOR)):
            yield self._entries(cluster)


@pytest.mark.parametrize("kind", ["exfat", "fat"])
def test_a_crafted_volume_costs_few_reads(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all its directories it cost half a million, while the machine was frozen."""
    most = 1 << 20
    monkeypatch.setattr(clusters, "MAX_DIRECTORIES", most)
    volume = Scattered(kind)
    module = {"exfat": exfat, "fat": fat}[kind]
    assert module.identify(volume.read)
    module.fingerprint(volume.read, SIZE)
    # For each cluster one of its own and one of the table; a root and two bitmaps; the table.
    assert most // SECTOR < volume.reads < 2 * (most // SECTOR + 3 * MAX_JUMPS) + 100
    assert volume.bytes < 64 << 20


def test_a_volume_in_order_is_read_ahead() -> None:
    """A directory of 512 clusters, one behind the other."""
    image = bytearray(HEAP + 1024 * SECTOR)
    image[:SECTOR] = boot_of_exfat().ljust(SECTOR, b"\0")
    for cluster in range(2, 513):
        struct.pack_into("<I", image, TABLE + 4 * cluster, cluster + 1)
    image[HEAP : HEAP + 511 * SECTOR] = b"\1" * (511 * SECTOR)
    memory = Memory(bytes(image))
    counted: Counter[str] = Counter()

    def read(offset: int, size: int) -> bytes:
        counted["reads"] += 1
        return memory.read(offset, size)

    exfat.fingerprint(read, len(image))
    assert counted["reads"] < 40


def entry(name: str, method: Method, size: int, fingerprint: bytes = bytes(32)) -> GuardEntry:
    identity = bytes(16) if method is Method.SAMPLE else UUID_1
    return GuardEntry(method, identity, size, fingerprint, "ext4", name, "", "/", "disk")


@pytest.fixture
def disks_of_ten(tmp_path: Path) -> Disks:
    made = Disks(tmp_path)
    for letter in "abcdefghij":
        made.add(f"sd{letter}", ext())
    return made


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    counted: Counter[str] = Counter()
    really = Device.read

    def read(device: Device, offset: int, size: int) -> bytes:
        counted[device.name] += 1
        return really(device, offset, size)

    monkeypatch.setattr(Device, "read", read)
    return counted


def test_a_device_of_many_names_is_read_once(disks_of_ten: Disks, reads: Counter[str]) -> None:
    """4,096 entries that name one device took ten minutes, whatever torpor.timeout= said."""
    names = ["/dev/" + "./" * number + "sda" for number in range(1024)]
    some = [entry(name, method, 8192) for name in names for method in Method]
    with pytest.raises(ChangedError):
        compare(some[:4096], lambda: False, disks_of_ten)
    samples = [entry(name, Method.SAMPLE, 8192) for name in names]
    with pytest.raises(ChangedError):
        compare(samples, lambda: False, disks_of_ten)
    assert set(reads) == {f"/dev/sd{letter}" for letter in "abcdefghij"}
    assert max(reads.values()) < 10 * len(Method)


def test_a_machine_has_more_devices_than_files_may_be_open(disks_of_ten: Disks) -> None:
    """Only those of a size that counts stay open."""
    for number in range(60):
        disks_of_ten.add(f"vd{number}", bytes(4096))
    disks_of_ten.add("xda", ext(size=16384))
    size = 16384
    known = KINDS[Method.EXT].fingerprint(Memory(ext(size=size)).read, size)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 20, hard))
    try:
        compare([entry("", Method.EXT, size, known)], failing(AssertionError()), disks_of_ten)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
