"""The fingerprint of NTFS: what of its file table counts, and tables damaged or hostile."""

from pathlib import Path

import pytest

from format.tables import Method
from guard import ntfs
from tests.unit.fake_volumes import (
    NTFS_CLUSTER,
    Endless,
    Memory,
    bytes_read,
    changes,
    make_image,
    ntfs_image,
    ntfs_list,
    ntfs_padding,
    ntfs_record,
    ntfs_runs,
)

OTHER_RECORDS = [ntfs_record()] * 5


def test_ntfs_sees_its_files_but_not_their_contents(tmp_path: Path) -> None:
    """The volume's own file (3, whose flag says that it was not unmounted) and any other."""
    data, _ = make_image(tmp_path, "ntfs")
    mft = int.from_bytes(data[48:56], "little") * 4096
    for at in (80, mft + 60, mft + 3 * 1024 + 200, mft + 23 * 1024):
        assert changes(Method.NTFS, data, at), at
    assert not changes(Method.NTFS, data, len(data) - 1)


def test_ntfs_sees_its_bitmap_and_the_begin_of_its_log() -> None:
    log, bitmap = ntfs_record(ntfs_runs((100, 128))), ntfs_record(ntfs_runs((300, 2)))
    rest = [ntfs_record()] * 3
    data = ntfs_image(ntfs_record(ntfs_runs((4, 7))), rest[0], log, *rest, bitmap)
    seen = [at for at in range(512, len(data), 512) if changes(Method.NTFS, data, at)]
    expected = [*range(4, 4 + 7), *range(100, 100 + 64), 300, 301]
    assert seen == [at for one in expected for at in (one * NTFS_CLUSTER, one * NTFS_CLUSTER + 512)]


def test_ntfs_follows_the_list_of_its_file_table() -> None:
    """Whose records lie in what is known so far; a list that lies elsewhere, too."""
    pieces = [ntfs_runs((100, 2), first=8), ntfs_runs((200, 3), (90, 1), first=10)]
    more = [ntfs_record(pieces[1]), ntfs_record(ntfs_padding(24), pieces[0])]
    for nth in range(2):
        told = ntfs_list(0, 7, 6) if nth else elsewhere(0x20, (50, 1), size=96)
        first = ntfs_record(told, ntfs_runs((4, 8), size=14 * NTFS_CLUSTER))
        data = ntfs_image(first, *OTHER_RECORDS, *more)
        entries = ntfs_list(0, 7, 6)[24:]
        data[50 * NTFS_CLUSTER : 50 * NTFS_CLUSTER + len(entries)] = entries
        assert ntfs.identify(Memory(data).read) == b"SERIAL#1".ljust(16, b"\0")
        for cluster in (4, 11, 100, 101, 200, 201, 202, 90):
            assert changes(Method.NTFS, data, cluster * NTFS_CLUSTER), cluster
        assert not changes(Method.NTFS, data, 102 * NTFS_CLUSTER)


def elsewhere(kind: int, *runs: tuple[int, int], size: int) -> bytes:
    attribute = bytearray(ntfs_runs(*runs, size=size))
    attribute[0] = kind
    return bytes(attribute)


def test_ntfs_puts_the_ends_of_sectors_back() -> None:
    """Runs across the end of a sector, where the record on the device has another number."""
    for size in range(360, 440, 8):
        record = ntfs_record(ntfs_padding(size), ntfs_runs((4, 8), (500, 9)))
        assert changes(Method.NTFS, ntfs_image(record), 508 * NTFS_CLUSTER), size


@pytest.mark.parametrize(
    "record",
    [
        ntfs_record(ntfs_runs((4, 8), size=1 << 63)),
        ntfs_record(ntfs_runs((4, 1 << 62), size=1 << 62)),
        ntfs_record(ntfs_runs((4, 8), size=9 * NTFS_CLUSTER)),
        ntfs_record(ntfs_runs((4, 8), (4, 1 << 62), size=1 << 40)),
        ntfs_record(ntfs_runs((4, 8), size=0)),
        ntfs_record(ntfs_runs((4, 8), first=1)),
        ntfs_record(),
        b"BAAD" + ntfs_record(ntfs_runs((4, 8)))[4:],
    ],
)
def test_ntfs_without_a_whole_file_table_is_none(record: bytes) -> None:
    """Larger than the guard reads, or with less clusters than bytes, or damaged."""
    data = ntfs_image(record)
    assert ntfs.identify(Memory(data).read) is None
    assert bytes_read(Method.NTFS, Memory(data)) < 1 << 20


def test_ntfs_in_circles_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that all lie in one place, records that name themselves, and too many of all."""
    one_place = [(4, 1)] * 25
    lists = [ntfs_list(0, 0, 1, 1, 0, 1), elsewhere(0x20, (4, 1 << 50), size=1 << 62)]
    for told in lists:
        first = ntfs_record(told, ntfs_runs(*one_place, (4, 1 << 20), size=1 << 30))
        data = ntfs_image(first, first, first)
        assert bytes_read(Method.NTFS, Memory(data)) < 16 << 20
        assert ntfs.identify(Memory(data).read)
    endless = ntfs_image(ntfs_record(ntfs_runs((4, 1 << 30), size=1 << 30)))
    assert bytes_read(Method.NTFS, Endless(endless), 8 << 20) < 10 << 20
    monkeypatch.setattr(ntfs, "MAX_RUNS", 20)
    assert ntfs.identify(Memory(ntfs_image(ntfs_record(ntfs_runs(*one_place)))).read) is None
