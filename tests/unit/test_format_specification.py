"""The tables of docs/FORMAT.md against the declarations in format/layout.py."""

import re
from pathlib import Path

import pytest
from construct import Struct

from format import extent_map, first_page, layout, records
from format.sections import guard, working_set

SPECIFICATION = (Path(__file__).parents[2] / "docs/FORMAT.md").read_text()
ROW = re.compile(r"^(\d+) \| (\d+) \| ", re.MULTILINE)


GUARD_HEAD = Struct(*layout.GuardEntry.subcons[:5])
"""What stands before the texts of an entry."""


def table_after(heading: str) -> list[tuple[int, int]]:
    """Return offset and size of the rows of the first table after the heading."""
    _, found, rest = SPECIFICATION.partition(f"\n{heading}\n")
    assert found
    table = rest[rest.index("\noffset |") :].lstrip().split("\n\n", 1)[0]
    return [(int(at), int(size)) for at, size in ROW.findall(table)]


def declared(record: Struct) -> list[tuple[int, int]]:
    at, rows = 0, []
    for field in record.subcons:
        rows.append((at, field.sizeof()))
        at += field.sizeof()
    return rows


@pytest.mark.parametrize(
    ("heading", "record"),
    [
        ("### Superblock", layout.Superblock),
        ("### Section header", layout.SectionHeader),
        ("### Chunk", layout.ChunkHeader),
        ("### Trailer", layout.Trailer),
        ("### Mark", layout.Mark),
        ("### Extent map", layout.MapPage),
        ("A section in the index:", layout.IndexSection),
        ("### Guard", GUARD_HEAD),
        ("### Page types", Struct(*layout.PageTypes.subcons[:-1])),
    ],
)
def test_table(heading: str, record: Struct) -> None:
    assert table_after(heading) == declared(record)


def test_table_of_the_index_begins_with_its_header() -> None:
    assert table_after("### Index") == declared(layout.IndexHeader)


def test_limits() -> None:
    assert "\nchunk size | 4 MiB\nchunks | 2^20\nsections | 16 in" in SPECIFICATION
    assert "\nextents on a device | 2^18\n" in SPECIFICATION
    limits = (records.MAX_CHUNK_SIZE, records.MAX_CHUNKS, records.MAX_SECTIONS)
    assert (*limits, extent_map.MAX_EXTENTS) == (4 << 20, 1 << 20, 16, 1 << 18)
    assert (records.MAX_TABLE_SIZE, guard.MAX_ENTRIES) == (1 << 20, 4096)
    assert "\na table | 1 MiB\na working set | 16 MiB\n" in SPECIFICATION
    assert records.MAX_WORKING_SET_SIZE == 16 << 20
    assert "\nfiles of a working set, their file systems | 2^20, 4096\n" in SPECIFICATION
    assert (working_set.MAX_FILES, working_set.MAX_FILE_SYSTEMS) == (1 << 20, 4096)
    assert "\na name of a working set, all names | 4096 bytes, 64 MiB\n" in SPECIFICATION
    assert (working_set.MAX_PATH, working_set.MAX_NAMES) == (4096, 64 << 20)
    assert "\nentries of the guard | 4096\n" in SPECIFICATION
    assert f"\n{first_page.MARK_OFFSET} | {layout.MARK_SIZE} | mark |" in SPECIFICATION
