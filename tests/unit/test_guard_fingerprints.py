"""Each kind of fingerprint: whose it is, what changes it and what does not, and damage."""

import hashlib
import random
import time
from pathlib import Path
from uuid import UUID

import pytest

from format.tables import Method
from guard import clusters, exfat, fat, sample
from guard.kinds import KINDS, OF_TYPE
from tests.unit.fake_volumes import (
    TYPES,
    XFS_LOG,
    Endless,
    ExfatImage,
    FatImage,
    Memory,
    bytes_read,
    changes,
    exfat_entries,
    fat_entry,
    fingerprint,
    make_image,
    xfs_image,
)
from vm.disks import blank_disk
from vm.host import run


def serial(text: str) -> bytes:
    """Return the bytes that blkid shows as 1234-ABCD."""
    return bytes.fromhex(text.replace("-", ""))[::-1].ljust(16, b"\0")


@pytest.mark.parametrize("fs_type", TYPES)
def test_identity_is_the_one_that_blkid_tells(fs_type: str, tmp_path: Path) -> None:
    data, known = make_image(tmp_path, fs_type)
    if fs_type in ("vfat", "exfat", "ntfs"):
        expected = serial(known["UUID"])
    else:
        expected = UUID(known["UUID_SUB" if fs_type == "btrfs" else "UUID"]).bytes
    found = {method: KINDS[method].identify(Memory(data).read) for method in Method}
    others = dict.fromkeys(Method) | {Method.SAMPLE: bytes(16)}
    assert found == others | {OF_TYPE[fs_type]: expected}


@pytest.mark.parametrize("bits", [12, 16])
def test_identity_of_a_small_fat(bits: int, tmp_path: Path) -> None:
    path = blank_disk(tmp_path / "disk", 2 if bits == 12 else 16)
    run("mkfs.vfat", "-F", str(bits), "-i", "12345678", path)
    assert fat.identify(Memory(path.read_bytes()).read) == serial("1234-5678")


@pytest.mark.parametrize("data", [b"", bytes(600), bytes(1 << 20), b"\xff" * (1 << 20)])
def test_nothing_is_no_file_system(data: bytes) -> None:
    for method in set(Method) - {Method.SAMPLE}:
        assert KINDS[method].identify(Memory(data).read) is None
        fingerprint(method, data)


def test_ntfs_is_no_fat() -> None:
    """Its boot sector is FAT's but for zeros where FAT has numbers (fs/fat/inode.c)."""
    sector = bytearray(b"\xeb\x52\x90NTFS    ".ljust(512, b"\0"))
    sector[11:22] = b"\x00\x02\x08\0\0\0\0\0\0\0\xf8"
    assert fat.identify(Memory(sector.ljust(1 << 20, b"\0")).read) is None


def test_xfs_with_its_log_elsewhere(tmp_path: Path) -> None:
    """Both are known by its UUID; the log is smaller than its device."""
    log = blank_disk(tmp_path / "log", 65)
    data, known = make_image(tmp_path, "xfs", "-l", f"logdev={log},size=64m")
    uuid = UUID(known["UUID"]).bytes
    for method in (Method.XFS, Method.XFS_LOG):
        content = data if method is Method.XFS else log.read_bytes()
        assert KINDS[method].identify(Memory(content).read) == uuid
        assert not changes(method, content, 1 << 20)
        assert bytes_read(method, Memory(content)) < 100_000
    assert changes(Method.XFS, data, 200)


def test_a_log_on_its_own_device_is_read_as_within_xfs() -> None:
    def log(head: int, cycle: int) -> bytearray:
        return xfs_image(head, cycle)[XFS_LOG : XFS_LOG + 1024 * 512] + bytes(4096)

    logs = [log(500, 5), log(501, 5), log(500, 4), log(1024, 4), log(1024, 5)]
    assert len({fingerprint(Method.XFS_LOG, each) for each in logs}) == 5
    seen = [at for at in range(0, 1024 * 512, 512) if changes(Method.XFS_LOG, logs[0], at + 100)]
    assert seen == [*range((500 - 128) * 512, 500 * 512, 512)]


def test_xfs_knows_where_its_log_ends() -> None:
    heads = [xfs_image(head, 5) for head in (1, 2, 500, 501, 1023)]
    rounds = [xfs_image(500, 4), xfs_image(1024, 4), xfs_image(1024, 5)]
    found = {fingerprint(Method.XFS, image) for image in heads + rounds}
    assert len(found) == 8


def test_xfs_sees_the_last_record_and_nothing_older() -> None:
    image = xfs_image(500, 5)
    last = XFS_LOG + 499 * 512 + 100
    assert changes(Method.XFS, image, last)
    assert changes(Method.XFS, image, 200)
    assert not changes(Method.XFS, image, last + 512)
    assert not changes(Method.XFS, image, XFS_LOG + 100)


def test_xfs_reads_little_of_its_log() -> None:
    assert bytes_read(Method.XFS, Memory(xfs_image(777, 5))) < 100_000


@pytest.fixture(params=[12, 16, 32])
def fat_image(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[int, FatImage]:
    """A directory in clusters 5, 2730, 3000, with another in its last, in 20; a deleted one in 30.

    FAT12's entry for 2730 begins in the last byte of a page.
    """
    bits: int = request.param
    path = blank_disk(tmp_path / "disk", 2 if bits == 12 else 16)
    run("mkfs.vfat", "-F", str(bits), "-s", "1", path)
    image = FatImage(path.read_bytes())
    image.chain(bits, 5, 2730, 3000)
    image.chain(bits, 20)
    entries = fat_entry(b"DIR        ", 0x10, 5) + fat_entry(b"\xe5ONE       ", 0x10, 30)
    image.write(image.root, entries)
    image.fill(fat_entry(b"FILE       ", 0x20, 40), 5, 2730, 3000, 20, 30)
    # The bits above a cluster's number are not its own.
    image.write(image.place(3000), fat_entry(b"BELOW      ", 0x10, 20 | 0xA << 28))
    return bits, image


def test_fat_sees_all_directories(fat_image: tuple[int, FatImage]) -> None:
    _, image = fat_image
    for at in (0, 37, image.table + 40, image.root + 1, *(map(image.place, (5, 2730, 3000, 20)))):
        assert changes(Method.FAT, image.data, at + 1), at
    for cluster in (30, 40):
        assert not changes(Method.FAT, image.data, image.place(cluster))


TIMES = (*range(13, 20), *range(22, 26))
"""Bytes of an entry."""


def put_folder(image: FatImage, bits: int, cluster: int, *entries: bytes) -> None:
    """Write a directory of one cluster."""
    image.chain(bits, cluster)
    own = fat_entry(b".          ", 0x10, cluster) + fat_entry(b"..         ", 0x10, 0)
    image.write(image.place(cluster), own + b"".join(entries))


def test_fat_leaves_out_what_a_boot_loader_writes(fat_image: tuple[int, FatImage]) -> None:
    bits, image = fat_image
    image.write(image.root + 64, fat_entry(b"LOADER     ", 0x10, 50))
    put_folder(image, bits, 50, fat_entry(b"RANDOM~1   ", 0x20, 60))
    for place in (image.root + 64, image.place(50) + 64):
        for at in range(32):
            assert changes(Method.FAT, image.data, place + at) is not (at in TIMES), at
    assert not changes(Method.FAT, image.data, image.place(60))
    if bits == 32:
        assert not changes(Method.FAT, image.data, 512 + 488)  # FSINFO's free clusters


def test_fat_sees_all_else_in_a_folder_of_a_boot_loader(fat_image: tuple[int, FatImage]) -> None:
    """What another system keeps in a folder of that name, wherever it is."""
    bits, image = fat_image
    seed = fat_entry(b"RANDOM~1   ", 0x20, 60)
    image.write(image.root + 64, fat_entry(b"LOADER     ", 0x10, 50))
    put_folder(
        image, bits, 50, fat_entry(b"ENTRIES    ", 0x10, 51), fat_entry(b"A       CON", 0x20, 61)
    )
    put_folder(image, bits, 51, seed, fat_entry(b"LOADER     ", 0x10, 52))
    put_folder(image, bits, 52, seed)
    image.write(image.root + 96, seed)
    inside = (
        image.place(50) + 64,
        image.place(50) + 96,
        image.place(51) + 64,
        image.place(51) + 96,
    )
    for place in (*inside, image.place(52) + 64, image.root + 96):
        for at in (0, *TIMES):
            assert changes(Method.FAT, image.data, place + at), (place, at)
    for name, attributes in ((b"LOADERS    ", 0x10), (b"LOADER     ", 0x20)):
        image.write(image.root + 64, fat_entry(name, attributes, 50))
        for at in TIMES:
            assert changes(Method.FAT, image.data, image.root + 64 + at), (name, at)


def test_fat_without_a_boot_loader_is_what_it_was(fat_image: tuple[int, FatImage]) -> None:
    """Images of 0.1.0 hold this fingerprint: every directory as it is."""
    bits, image = fat_image
    digest = hashlib.sha256(image.data[:512])
    digest.update(image.data[image.table : image.table + image.table_size])
    if bits != 32:
        digest.update(image.data[image.root : image.heap])
    else:
        digest.update(image.data[image.root : image.root + image.cluster_size])
    for cluster in (5, 2730, 3000, 20):
        digest.update(image.data[image.place(cluster) : image.place(cluster) + image.cluster_size])
    assert (
        KINDS[Method.FAT].fingerprint(Memory(image.data).read, len(image.data)) == digest.digest()
    )


def test_fat_in_circles_ends(
    fat_image: tuple[int, FatImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chain without an end, and a directory that lies in itself."""
    monkeypatch.setattr(clusters, "MAX_DIRECTORIES", 1 << 20)
    bits, image = fat_image
    image.write(image.place(20), fat_entry(b"ABOVE      ", 0x10, 5))
    assert bytes_read(Method.FAT, Memory(image.data)) < 1 << 20
    image.link(bits, 2730, 5)
    assert 1 << 20 <= bytes_read(Method.FAT, Memory(image.data)) < 3 << 20


def test_fat_beyond_the_devices_end_is_none(tmp_path: Path) -> None:
    """A chain there could go in circles without a byte that is read."""
    geometry = clusters.Geometry(512, 1 << 20, 16, 1 << 20, 4096, 60_000)
    volume = clusters.Volume(Memory(b"\x10" * (1 << 20)).read, 3 << 20, geometry)
    assert list(volume._chain(clusters.Run(0x1010))) == []
    assert len(list(volume._chain(clusters.Run(500, contiguous=1 << 60)))) == 14


@pytest.fixture
def exfat_image(tmp_path: Path) -> ExfatImage:
    """Directories in clusters 50 and 51 without the table, and in 60 and 70 by it."""
    data, _ = make_image(tmp_path, "exfat")
    image = ExfatImage(data)
    size = image.cluster_size
    used = sum(1 for entry in image.entries(image.root) if entry[0])
    directory = exfat_entries(0x10, 0x03, 50, 2 * size)
    file = exfat_entries(0x20, 0x03, 80, size)
    image.write(image.place(image.root) + 32 * used, directory + file)
    image.link(60, 70)
    image.link(70, 0xFFFFFFFF)
    image.fill(file, 50, 51, 60, 70, 80)
    # Across the clusters' border: the file's entry in the first, its stream's in the second.
    image.write(image.place(51) - 32, exfat_entries(0x10, 0x01, 60, 2 * size))
    return image


def test_exfat_sees_all_directories(exfat_image: ExfatImage) -> None:
    image = exfat_image
    clusters_of_directories = [image.place(cluster) + 100 for cluster in (50, 51, 60, 70)]
    for at in (106, 11 * 512 + 5, image.table + 4 * 60, *clusters_of_directories):
        assert changes(Method.EXFAT, image.data, at), at
    assert not changes(Method.EXFAT, image.data, image.place(80) + 100)


def bitmap_of(image: ExfatImage) -> tuple[int, bytes, int]:
    """Return where its entry lies, the entry, and the first cluster."""
    entries = enumerate(image.entries(image.root))
    ((nth, entry),) = ((nth, entry) for nth, entry in entries if entry[0] == 0x81)
    return image.place(image.root) + 32 * nth, entry, int.from_bytes(entry[20:24], "little")


def test_exfat_sees_its_allocation_bitmap(exfat_image: ExfatImage) -> None:
    _, bitmap, first = bitmap_of(exfat_image)
    length = int.from_bytes(bitmap[24:32], "little")
    assert changes(Method.EXFAT, exfat_image.data, exfat_image.place(first) + length - 1)


def test_exfat_with_many_bitmaps_ends(exfat_image: ExfatImage) -> None:
    image = exfat_image
    _, bitmap, first = bitmap_of(image)
    image.fill(bitmap[:24] + b"\xff" * 8, image.root)
    image.link(first, image.root)
    image.link(image.root, image.root)
    assert bytes_read(Method.EXFAT, Memory(image.data)) < 8 << 20


def test_exfat_in_circles_ends(exfat_image: ExfatImage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "MAX_DIRECTORIES", 1 << 20)
    exfat_image.link(70, 60)
    assert 1 << 20 <= bytes_read(Method.EXFAT, Memory(exfat_image.data)) < 3 << 20


def test_sizes_that_cannot_be(
    exfat_image: ExfatImage, fat_image: tuple[int, FatImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table of terabytes, and a bitmap of more."""
    monkeypatch.setattr(clusters, "MAX_TABLE", 1 << 20)
    monkeypatch.setattr(exfat, "MAX_TABLE", 1 << 20)
    data = exfat_image.data
    at, _, first = bitmap_of(exfat_image)
    data[at + 24 : at + 32] = b"\xff" * 8
    exfat_image.link(first, 100)
    exfat_image.link(100, 100)
    data[84:88] = data[92:96] = b"\xff" * 4
    assert 1 << 20 < bytes_read(Method.EXFAT, Endless(data), 1 << 60) < 4 << 20
    _, image = fat_image
    image.data[36:40] = b"\xff" * 4
    assert bytes_read(Method.FAT, Endless(image.data), 1 << 60) < 4 << 20


def test_a_small_device_is_sampled_whole() -> None:
    data = bytes(3 << 20) + b"end"
    for at in (0, 1 << 20, len(data) - 1):
        assert changes(Method.SAMPLE, data, at)


def test_a_large_device_is_sampled_all_over() -> None:
    """Its ends, and every so many bytes a page; so little that most of it may change unseen."""
    seen: list[tuple[int, int]] = []

    def read(offset: int, size: int) -> bytes:
        seen.append((offset, offset + size))
        return bytes(size)

    size = 40 << 30
    sample.fingerprint(read, size)
    starts = [start for start, _ in seen]
    assert starts == sorted(starts)
    assert (starts[0], seen[-1][1]) == (0, size)
    gaps = [after - end for (_, end), after in zip(seen, starts[1:], strict=False)]
    assert max(gaps) < 100 << 20
    assert sum(end - start for start, end in seen) < 16 << 20


ROUNDS = 300
MOST_READ = 8 << 20
VALUES = (0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF)
WHERE = {
    "ext4": [(1024, 1024)],
    "btrfs": [(64 << 10, 4096)],
    "vfat": [(0, 512), (512 * 32, 4096)],
    "exfat": [(64, 64), (0, 512)],
    "ntfs": [(0, 80), (16 << 10, 2048), ((16 << 10) + 6144, 1024)],
    "f2fs": [(1024, 128), (512 << 12, 4096)],
    "nilfs2": [(1024, 168)],
    "xfs": [(0, 8), (48, 8), (84, 4), (96, 4), (124, 1), (XFS_LOG, 4096)],
}
"""Ranges of each, offset and size, whose bytes are changed."""


def survives(method: Method, data: bytearray) -> bool:
    """Read a damaged one; return whether it is still taken for a file system."""
    device = Memory(data)
    begun = time.process_time()
    identity = KINDS[method].identify(device.read)
    assert identity is None or len(identity) == 16
    assert len(KINDS[method].fingerprint(device.read, len(data))) == 32
    assert device.bytes_read < MOST_READ
    assert time.process_time() - begun < 5
    return identity is not None


def damage(data: bytearray, rng: random.Random, where: list[tuple[int, int]]) -> None:
    start, size = rng.choice(where)
    at = start + rng.randrange(size)
    for nth in range(rng.choice((1, 1, 2, 4, 8))):
        data[at + nth] = rng.choice(VALUES) if rng.random() < 0.7 else rng.randrange(256)


@pytest.mark.parametrize("fs_type", WHERE)
def test_damage(fs_type: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No error, and an end: what is corrupt is not this file system, or has some fingerprint.

    Of XFS, the numbers of its geometry and the cycles of its log.
    """
    monkeypatch.setattr(clusters, "MAX_DIRECTORIES", 1 << 20)
    monkeypatch.setattr(clusters, "MAX_TABLE", 1 << 20)
    rng = random.Random(fs_type)
    sound = b"" if fs_type == "xfs" else make_image(tmp_path, fs_type)[0][: 3 << 20]
    survived = 0
    for _ in range(ROUNDS):
        logs = (rng.randrange(1025), rng.randrange(1, 1 << 32))
        data = bytearray(sound) if sound else xfs_image(*logs)
        for _ in range(rng.choice((1, 2, 5))):
            damage(data, rng, WHERE[fs_type])
        if rng.random() < 0.1:
            del data[rng.randrange(len(data)) :]
        survived += survives(OF_TYPE[fs_type], data)
    assert ROUNDS / 20 < survived < ROUNDS, "the damage is too great, or none"


@pytest.mark.parametrize("fs_type", TYPES)
def test_a_device_that_ends(fs_type: str, tmp_path: Path) -> None:
    sound, _ = make_image(tmp_path, fs_type)
    for size in (0, 1, 511, 512, 513, 1500, 4096, 66_000, 70_000, 1 << 20):
        survives(OF_TYPE[fs_type], bytearray(sound[:size]))
