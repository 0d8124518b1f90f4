"""Guard, machine facts and page types: the bytes of the specification, and what is refused."""

import pytest

from errors import DamagedError, TorporError, UnsupportedError
from format.pipeline import CHUNK_SIZE
from format.reader import ImageReader
from format.records import GUARD, MACHINE_FACTS, MAX_TABLE_SIZE
from format.sections.guard import Guard, GuardEntry, Method
from format.sections.machine import MachineFacts
from format.sections.page_types import PageTypes
from tests import forge
from tests.sources import MemorySource, reader_of, write_image
from tests.vectors.images import FACTS, PAGE_TYPES, TABLED

ROOT = GuardEntry(
    Method.EXT, forge.UUID_B.bytes, 1 << 30, forge.DIGEST, "ext4", "/dev/vda1", "", "/"
)
FEATURES = frozenset({"sse2", "fpu", "avx"})
WORDS = [0x0706050403020100 + 0x0808080808080808 * nth for nth in range(5)]


@pytest.mark.parametrize(
    ("table", "data"),
    [
        (Guard([ROOT]), forge.guard(forge.guard_entry())),
        (Guard(), forge.guard()),
        (MachineFacts("0x0 0x9ffff System RAM", "Testing 9000", FEATURES), FACTS),
        (PageTypes(*WORDS), PAGE_TYPES),
    ],
    ids=lambda value: type(value).__name__,
)
def test_bytes(table: Guard | MachineFacts | PageTypes, data: bytes) -> None:
    assert table.build() == data
    assert type(table).parse(data) == table


def test_all_page_types_make_the_total() -> None:
    assert PageTypes(*WORDS).total == sum(WORDS)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", DamagedError),
        (forge.guard(forge.guard_entry(), count=2), DamagedError),
        (forge.guard(forge.guard_entry(), count=0xFFFF_FFFF), DamagedError),
        (forge.guard(forge.guard_entry()) + b"\0", DamagedError),
        (forge.guard(forge.guard_entry())[:-1], DamagedError),
        (forge.guard(forge.guard_entry(method=77)), UnsupportedError),
        (forge.guard(forge.guard_entry(flags=1)), UnsupportedError),
    ],
)
def test_wrong_guard(data: bytes, error: type[TorporError]) -> None:
    with pytest.raises(error):
        Guard.parse(data)


@pytest.mark.parametrize("data", [b"", FACTS[:-1], FACTS + b"\0", b"\xff" * 12])
def test_wrong_facts(data: bytes) -> None:
    with pytest.raises(DamagedError):
        MachineFacts.parse(data)


def test_texts_are_shown_without_control_characters() -> None:
    (entry,) = Guard.parse(forge.guard(forge.guard_entry(mount_point=b"/\x1b[31m\xff")))
    assert entry.mount_point == "/?[31m\ufffd"


def written(found: dict[int, bytes]) -> ImageReader:
    """Return an image of one page of stream and these tables."""
    stream = reader_of(b"p" * forge.PAGE)
    return ImageReader(MemorySource(write_image(stream, CHUNK_SIZE, tables=found)))


def test_tables_of_an_image() -> None:
    image = written({GUARD: b"the guard", MACHINE_FACTS: b"facts"})
    assert image.table(GUARD) == b"the guard"
    assert image.table(MACHINE_FACTS) == b"facts"
    assert b"".join(bytes(part) for part in image.stream()) == b"p" * forge.PAGE


def test_forged_tables() -> None:
    image = ImageReader(MemorySource(TABLED.build()))
    assert image.table(MACHINE_FACTS) == FACTS
    assert [entry.mount_point for entry in image.read(Guard) or ()] == ["/", "/home"]


def test_table_of_the_largest_size() -> None:
    largest = bytes(range(256)) * (MAX_TABLE_SIZE // 256)
    image = written({GUARD: largest})
    assert image.table(GUARD) == largest
    assert image.read(MachineFacts) is None
    with pytest.raises(TorporError, match="too large"):
        written({GUARD: largest + b"x"})
