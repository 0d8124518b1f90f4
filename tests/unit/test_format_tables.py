"""Guard, machine facts, page types, working set: the bytes of the specification, their cost."""

import time
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import DamagedError, TorporError
from format.packed import encode_numbers, number_at
from format.pipeline import CHUNK_SIZE
from format.reader import ImageReader
from format.records import GUARD, MACHINE_FACTS, MAX_TABLE_SIZE
from format.tables import Guard, GuardEntry, MachineFacts, Method, PageTypes
from format.working_set import (
    CachedFile,
    FileSystem,
    ProcessMemory,
    Ranges,
    WorkingSet,
    file_check,
    pages_in,
)
from tests import forge
from tests.sources import MemorySource, reader_of, write_image
from tests.unit.pace import AT_ANY_PACE
from tests.vectors.images import FACTS, PAGE_TYPES, TABLED

Table = Guard | MachineFacts | PageTypes | WorkingSet

ROOT = GuardEntry(
    Method.EXT, forge.UUID_B.bytes, 1 << 30, forge.DIGEST, "ext4", "/dev/vda1", "", "/", "disk"
)
FEATURES = frozenset({"sse2", "fpu", "avx"})
WORDS = [0x0706050403020100 + 0x0808080808080808 * nth for nth in range(6)]

KNOWN = WorkingSet(
    forge.UUID_B,
    with_paths=True,
    complete=True,
    file_systems=(
        FileSystem(
            "UUID=1-2",
            "/",
            "/",
            (
                CachedFile(b"bin/a", 0x03020100, in_use=True, ranges=((0, 1), (301, 1000))),
                CachedFile(b"bin/b", 0x07060504, in_use=False, ranges=((7, 2),)),
            ),
        ),
        FileSystem("/dev/\udcffb", "/", "/srv", (CachedFile(b"c", 0x0B0A0908, False, ()),)),
    ),
    processes=(ProcessMemory(1, 17, ((0x7FFF_FFFF, 512),)), ProcessMemory(4194304, 12345, ())),
)
BARE = KNOWN._replace(with_paths=False, complete=False)


@pytest.mark.parametrize(
    ("table", "data"),
    [
        (Guard([ROOT]), forge.guard(forge.guard_entry(layers=b"disk"))),
        (Guard(), forge.guard()),
        (MachineFacts("0x0 0x9ffff System RAM", "Testing 9000", FEATURES), FACTS),
        (PageTypes(*WORDS), PAGE_TYPES),
        (KNOWN, forge.working_set()),
        (BARE, forge.working_set(flags=3)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_bytes(table: Table, data: bytes) -> None:
    assert table.build() == data
    assert type(table).parse(data) == table


def test_sums() -> None:
    assert PageTypes(*WORDS).total == sum(WORDS[:5])
    assert (KNOWN.files, KNOWN.file_pages, KNOWN.process_pages) == (3, 1003, 512)


@pytest.mark.parametrize("table", [Guard, MachineFacts, PageTypes, WorkingSet])
def test_nothing_is_no_table(table: type[Table]) -> None:
    """tests/vectors has what else is refused."""
    with pytest.raises(DamagedError):
        table.parse(b"")


def test_texts_are_what_they_were() -> None:
    """Whoever shows them filters them: tests/unit/test_line.py."""
    (entry,) = Guard.parse(forge.guard(forge.guard_entry(mount_point=b"/\x1b[31m\xff")))
    assert entry.mount_point == "/\x1b[31m\udcff"


def written(found: dict[int, bytes]) -> ImageReader:
    """Return an image of one page of stream and these tables."""
    stream = reader_of(b"p" * forge.PAGE)
    return ImageReader(MemorySource(write_image(stream, CHUNK_SIZE, tables=found)))


def test_tables_of_an_image() -> None:
    image = written({GUARD: b"the guard", MACHINE_FACTS: b"facts"})
    assert image.table(GUARD) == b"the guard"
    assert image.table(MACHINE_FACTS) == b"facts"
    assert b"".join(bytes(part) for part in image.stream()) == b"p" * forge.PAGE
    forged = ImageReader(MemorySource(TABLED.build()))
    assert forged.table(MACHINE_FACTS) == FACTS
    assert [entry.mount_point for entry in forged.read(GUARD, Guard) or ()] == ["/", "/home"]


def test_table_of_the_largest_size() -> None:
    largest = bytes(range(256)) * (MAX_TABLE_SIZE // 256)
    image = written({GUARD: largest})
    assert image.table(GUARD) == largest
    assert image.read(MACHINE_FACTS, MachineFacts) is None
    with pytest.raises(TorporError, match="too large"):
        written({GUARD: largest + b"x"})


@st.composite
def ranges(draw: st.DrawFn) -> Ranges:
    end = 0
    made: list[tuple[int, int]] = []
    for _ in range(draw(st.integers(0, 4))):
        first = end + draw(st.integers(1 if made else 0, 1 << 40))
        count = draw(st.integers(1, 1 << 30))
        made.append((first, count))
        end = first + count
    return tuple(made)


CACHED = st.builds(
    CachedFile, st.binary(max_size=40), st.integers(0, 2**32 - 1), st.booleans(), ranges()
)
PROCESSES = st.builds(ProcessMemory, st.integers(1, 2**31 - 1), st.integers(0, 2**63), ranges())
NAMES = st.text(max_size=20)
SYSTEMS = st.builds(FileSystem, NAMES, NAMES, NAMES, st.lists(CACHED, max_size=5).map(tuple))


@AT_ANY_PACE
@given(
    st.builds(
        WorkingSet,
        st.uuids(),
        st.booleans(),
        st.booleans(),
        st.lists(SYSTEMS, max_size=3).map(tuple),
        st.lists(PROCESSES, max_size=3).map(tuple),
    )
)
def test_what_is_built_is_parsed(working_set: WorkingSet) -> None:
    assert WorkingSet.parse(working_set.build()) == working_set


@AT_ANY_PACE
@given(st.binary(max_size=200))
def test_noise_is_refused_or_understood(data: bytes) -> None:
    try:
        parsed = WorkingSet.parse(data)
    except TorporError:
        return
    assert WorkingSet.parse(parsed.build()) == parsed


@AT_ANY_PACE
@given(st.lists(st.integers(0, 2**64 - 1)))
def test_numbers(numbers: list[int]) -> None:
    assert encode_numbers(numbers) == forge.leb(*numbers)
    data, at = encode_numbers(numbers), 0
    for number in numbers:
        found, at = number_at(data, at)
        assert found == number
    assert at == len(data)


def test_a_hundred_thousand_files_stay_below_4_mib() -> None:
    files = tuple(
        CachedFile(
            b"usr/share/package-%d/doc/%s-%05d.html" % (n // 50, b"chapter" * (n % 3), n),
            file_check(n, 4096 * n, time.time_ns()),
            n % 10 == 0,
            tuple((first, 1 + n % 40) for first in range(0, 200 * (1 + n % 3), 200)),
        )
        for n in range(100_000)
    )
    built = WorkingSet(
        UUID(int=1), True, True, (FileSystem("UUID=x", "/", "/", files),), ()
    ).build()
    assert len(built) < 4 << 20
    parsed = WorkingSet.parse(built)
    assert parsed.files == 100_000
    assert parsed.file_pages == sum(pages_in(file.ranges) for file in files)


def test_a_name_longer_than_a_path_can_be_is_refused() -> None:
    def of_one_file(size: int) -> bytes:
        names = b"\0" + forge.leb(size) + b"n" * size
        return forge.working_set(file_counts=(1,), names=names, checks=bytes(4), ranges=b"\0")

    assert WorkingSet.parse(of_one_file(4096)).files == 1
    with pytest.raises(DamagedError, match="does not fit"):
        WorkingSet.parse(of_one_file(4097))


def test_check_tells_a_change() -> None:
    checks = {file_check(*facts) for facts in ((1, 2, 3), (2, 2, 3), (1, 3, 3), (1, 2, -3))}
    assert len(checks) == 4
