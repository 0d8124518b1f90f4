"""Whatever a file that we are given says of its size: little memory, and an end."""

import subprocess
import sys
from pathlib import Path

import pytest

from format.records import (
    GUARD,
    MACHINE_FACTS,
    MAX_CHUNK_SIZE,
    MAX_CHUNKS,
    MAX_TABLE_SIZE,
    WORKING_SET,
)
from format.tables import MAX_ENTRIES
from format.working_set import build_file
from guard import ntfs
from tests import forge
from tests.sources import reader_of, write_image
from tests.tools import ROOT
from tests.unit.fake_volumes import (
    NTFS_CLUSTER,
    Endless,
    ntfs_image,
    ntfs_list,
    ntfs_record,
    ntfs_runs,
)
from tests.unit.test_guard_ntfs import elsewhere
from tests.unit.working_set_bombs import bombs

MOST = 96
"""MiB of memory that a command may take for any file."""

_PEAK = """
import os, sys
pid = os.posix_spawn(sys.executable, [sys.executable, "-m", "torpor", *sys.argv[1:]], os.environ)
_, status, used = os.wait4(pid, 0)
print("peak", os.waitstatus_to_exitcode(status), used.ru_maxrss >> 10)
"""
"""A small process between: who starts another one leaves it its own peak."""


def peak_of(*words: str | Path) -> tuple[int, int]:
    """Return the exit code of a command, and the MiB of memory that it took."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", _PEAK, *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    code, mebibytes = done.stdout.rpartition("peak ")[2].split()
    assert "Traceback" not in done.stderr
    return int(code), int(mebibytes)


def with_table(kind: int, data: bytes) -> bytes:
    page = reader_of(b"p" * 4096)
    return write_image(page, MAX_CHUNK_SIZE, codec="zstd", tables={kind: data})


BOMBS = bombs()


@pytest.mark.parametrize("name", BOMBS)
def test_a_working_set_in_an_image(name: str, tmp_path: Path) -> None:
    """Nine pages of an image are 16 MiB of a section, and were a gigabyte of objects."""
    code, section = BOMBS[name]
    image = with_table(WORKING_SET, section)
    assert len(image) <= 9 * 4096
    path = tmp_path / "image"
    path.write_bytes(image)
    found, mebibytes = peak_of("verify", path)
    assert (found, mebibytes < MOST) == (code, True), mebibytes


@pytest.mark.parametrize("name", ["no end", "names of file systems", "a file", "a process"])
def test_a_working_set_in_a_file(name: str, tmp_path: Path) -> None:
    code, section = BOMBS[name]
    path = tmp_path / "set"
    path.write_bytes(build_file(section))
    found, mebibytes = peak_of("workingset", "replay", path)
    assert (found, mebibytes < MOST) == (code, True), mebibytes


WORDS = b" ".join(b"%05x" % number for number in range(170_000))
"""As many names of features as there is room for."""


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        (MACHINE_FACTS, forge.facts(b"0x0", b"x", WORDS)),
        (MACHINE_FACTS, forge.facts("\N{GRINNING FACE}".encode() * 260_000, b"x", b"a")),
        (GUARD, forge.guard(*[forge.guard_entry(mount_point=b"\xff" * 140)] * MAX_ENTRIES)),
        (GUARD, forge.guard(*[forge.guard_entry(mount_point=b"\xff" * 65_000)] * 15)),
        (GUARD, forge.guard(forge.guard_entry(layers=b"x\n" * 500_000))),
    ],
)
def test_the_largest_tables(kind: int, table: bytes, tmp_path: Path) -> None:
    assert MAX_TABLE_SIZE * 0.85 < len(table) < MAX_TABLE_SIZE
    path = tmp_path / "image"
    path.write_bytes(with_table(kind, table))
    found, mebibytes = peak_of("verify", path)
    assert (found, mebibytes < MOST) == (0, True), mebibytes


class Counting(Endless):
    reads = 0

    def read(self, offset: int, size: int) -> bytes:
        self.reads += 1
        return super().read(offset, size)


def ntfs_of_many_runs() -> Counting:
    """Return an NTFS whose $MFT and $Bitmap have as many runs as the guard follows, of a KiB."""
    listed, each, kept, place = 1310, 50, 1400, 3000
    numbers = range(16, 16 + listed)
    names = ntfs_list(*numbers)[24:]
    told = elsewhere(0x20, (place, 64), size=len(names))
    first = ntfs_record(told, ntfs_runs((4, kept), size=(kept + listed * each) * NTFS_CLUSTER))
    records = [
        ntfs_record(
            ntfs_runs(
                *[(at, 1) for at in range(5000 + nth, 5000 + nth + each * 2, 2)],
                first=kept + nth * each,
            )
        )
        for nth in range(listed)
    ]
    data = ntfs_image(*[first] * numbers.start, *records, mib=4)
    at = place * NTFS_CLUSTER
    data[at : at + len(names)] = names
    return Counting(data)


def test_an_ntfs_of_many_runs() -> None:
    """It took 134,000 reads, at a standstill of the whole machine."""
    volume = ntfs_of_many_runs()
    assert ntfs.identify(volume.read)
    assert volume.reads < 3000
    volume.reads = 0
    ntfs.fingerprint(volume.read, 1 << 40)
    assert 70_000 < volume.reads <= ntfs.MAX_READS < 100_000


def test_the_largest_index(tmp_path: Path) -> None:
    """Of chunks that are not there: all of the file before the index is a hole."""
    head = forge.Super().build() + forge.section_header()
    offsets = range(len(head), len(head) + 4096 * MAX_CHUNKS, 4096)
    stream = (1, 0, 0, MAX_CHUNKS, MAX_CHUNKS * 4096)
    table = forge.index([stream], offsets, [0] * MAX_CHUNKS)
    at = offsets.stop
    path = tmp_path / "image"
    with path.open("wb") as file:
        file.write(head)
        file.seek(at)
        file.write(table + forge.trailer(at + len(table) + forge.TRAILER, at, len(table)))
    for command, code in (("inspect", 0), ("verify", 4)):
        found, mebibytes = peak_of(command, path)
        assert (found, mebibytes < MOST) == (code, True), mebibytes
