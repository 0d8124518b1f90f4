"""Guard and machine facts: the bytes of the specification, and what is refused."""

from pathlib import Path
from uuid import UUID

import pytest

from errors import DamagedError, TorporError, UnsupportedError
from format.pipeline import CHUNK_SIZE, PageBuffer
from format.reader import ImageReader
from format.records import GUARD, MACHINE_FACTS, MAX_TABLE_SIZE, Identity, Superblock
from format.sections.guard import Guard, GuardEntry, Method
from format.sections.machine import MachineFacts
from format.writer import ImageWriter, new_buffers
from store.file import FileSink, new_file
from store.image import open_image
from tests import forge
from tests.vectors.images import FACTS, TABLED

ROOT = GuardEntry(
    Method.EXT, forge.UUID_B.bytes, 1 << 30, forge.DIGEST, "ext4", "/dev/vda1", "", "/"
)
SUPERBLOCK = Superblock(
    UUID(int=7), 1, CHUNK_SIZE, Identity("1", "2", "3", "4", bytes(32), ""), platform=False
)


def test_guard_bytes() -> None:
    assert Guard([ROOT]).build() == forge.guard(forge.guard_entry())
    assert Guard.parse(forge.guard(forge.guard_entry())) == [ROOT]
    assert Guard.parse(forge.guard()) == []


def test_facts_bytes() -> None:
    facts = MachineFacts(
        "0x0 0x9ffff System RAM", "Testing 9000", frozenset({"sse2", "fpu", "avx"})
    )
    assert facts.build() == FACTS
    assert MachineFacts.parse(FACTS) == facts


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


def test_tables_of_an_image(tmp_path: Path) -> None:
    with open_image(str(_written(tmp_path, {GUARD: b"the guard", MACHINE_FACTS: b"facts"}))) as it:
        image = ImageReader(it)
        assert image.table(GUARD) == b"the guard"
        assert image.table(MACHINE_FACTS) == b"facts"
        assert b"".join(bytes(part) for part in image.stream()) == b"p" * 4096


def test_forged_tables(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(TABLED.build())
    with open_image(str(path)) as source:
        image = ImageReader(source)
        assert image.table(MACHINE_FACTS) == FACTS
        guard = image.table(GUARD)
    assert guard is not None
    assert [entry.mount_point for entry in Guard.parse(guard)] == ["/", "/home"]


def test_table_of_the_largest_size(tmp_path: Path) -> None:
    largest = bytes(range(256)) * (MAX_TABLE_SIZE // 256)
    with open_image(str(_written(tmp_path, {GUARD: largest}))) as source:
        image = ImageReader(source)
        assert image.table(GUARD) == largest
        assert image.table(MACHINE_FACTS) is None
    with pytest.raises(TorporError, match="too large"):
        _written(tmp_path / "more", {GUARD: largest + b"x"})


def _written(folder: Path, tables: dict[int, bytes]) -> Path:
    """Write an image of one page of stream and these tables."""
    folder.mkdir(exist_ok=True)
    path = folder / "image"
    with new_file(str(path)) as out:
        writer = ImageWriter(FileSink(out, "image"), SUPERBLOCK, new_buffers(CHUNK_SIZE))
        page = bytearray(b"p" * 4096)

        def read(buffer: PageBuffer, _at: int) -> int:
            data = bytes(page)
            buffer.view[: len(data)] = data
            page.clear()
            return len(data)

        writer.write_stream(read, lambda _done: None)
        for kind, data in tables.items():
            writer.write_table(kind, data)
        writer.finish()
    return path
