"""The records byte by byte, written here by hand, and the tables of docs/FORMAT.md.

A round trip cannot see a wrong byte order."""

import re
from array import array
from itertools import accumulate
from uuid import UUID

import lz4.block
import pytest
from construct import Struct

import linux
from errors import DamagedError, TorporError
from format import (
    PAGE_SIZE,
    chunks,
    first_page,
    layout,
    mark,
    records,
    sealed_layout,
    tables,
    working_set,
)
from format.checksum import definition
from format.first_page import empty_store
from format.mark import Extents, Mark, MarkState, build_map
from format.tables import Guard, PageTypes
from tests import tools
from tests.forge import CREATED_NS, DIGEST, MACHINE_ID, lz4_run
from tests.unit.marked import ROOT
from tests.vectors.images import noise

ID = "000102030405060708090a0b0c0d0e0f"
UUID_0 = UUID(ID)
SEED = definition(UUID_0.bytes)
IDENTITY = records.Identity("6.1.0", "#1 SMP", "x86_64", "lynx", DIGEST, MACHINE_ID)


def check(built: bytes, by_hand: str, crc: str, behind: bytes = b"") -> None:
    """The record is these bytes and this checksum, which crcmod computes as well."""
    record = bytes.fromhex(by_hand)
    assert built[:-4].hex(" ") == record.hex(" ")
    assert built[-4:].hex() == crc
    assert definition(UUID_0.bytes + record + behind) == int.from_bytes(built[-4:], "little")


NAMES = ("36 2e 31 2e 30", "23 31 20 53 4d 50", "78 38 36 5f 36 34", "6c 79 6e 78")
EXTENTS = Extents()
EXTENTS.add(0x0102030405060708, 2)
EXTENTS.add(9)
RECORDS = {
    "superblock": (
        records.Superblock(UUID_0, CREATED_NS, 1 << 20, IDENTITY, platform=True).build(),
        "89 54 4f 52 50 4f 52 0a"  # magic
        "02 00 00 00 00 00 00 00 01 00 00 00"  # version, required and optional flags
        "00 10 00 00 00 00 10 00 00 00 00 00"  # page size, chunk size, reserved
        f"{ID}"
        "00 00 fa ed 51 72 86 18"  # 2026-01-01 00:00:00 UTC
        "00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f"
        "10 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f"
        + "".join(name + "00" * (65 - len(bytes.fromhex(name))) for name in NAMES)
        + f"{MACHINE_ID}{'00' * 3728}",
        "bbe02056",
    ),
    "section header": (
        records.Section(1, 0, 0, 0).build_header(SEED),
        "54 53 45 43 01 00 00 00 00 00 00 00 00 00 00 00" + "00" * 4076,
        "dab3d2a6",
    ),
    "index": (
        records.Index(
            (records.Section(1, 0, 2, 0x1800),),
            array("Q", [8192, 0x0102030405060708]),
            array("I", [0xA1B2C3D4, 5]),
        ).build(UUID_0),
        (
            "54 49 44 58 01 00 00 00 02 00 00 00 00 00 00 00"
            "01 00 00 00 00 00 00 00 00 00 00 00 02 00 00 00 00 18 00 00 00 00 00 00"
            "00 20 00 00 00 00 00 00 08 07 06 05 04 03 02 01"
            "d4 c3 b2 a1 05 00 00 00" + "00" * (4096 - 64 - 4 - 64)
        ),
        "aea378bc",
    ),
    "trailer": (
        records.Trailer(UUID_0, 0x0102030405060708, 0x1112131415161718, 0x21222324).build(),
        f"54 4f 52 50 44 4f 4e 45 {ID}"
        "08 07 06 05 04 03 02 01 18 17 16 15 14 13 12 11 24 23 22 21" + "00" * 16,
        "4b118d0f",
    ),
    "mark": (
        Mark(MarkState.COMPLETE, UUID_0, 0x0102030405060708, 0x1112131415161718, 3, 0x3132).build(),
        f"54 4f 52 50 4d 41 52 4b 01 00 01 00 00 00 00 00 {ID}"
        "08 07 06 05 04 03 02 01 18 17 16 15 14 13 12 11 03 00 00 00"
        "32 31 00 00 00 00 00 00" + "00" * 192,
        "ac4b7f34",
    ),
    "map page": (
        next(iter(build_map(EXTENTS, UUID_0, [77]))),
        (
            "54 4f 52 50 58 4d 41 50 00 00 00 00 02 00 00 00 00 00 00 00 00 00 00 00"
            f"08 07 06 05 04 03 02 01 09 00 00 00 00 00 00 00 {'00' * 251 * 8}"
            f"02 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00 {'00' * (251 * 8 + 20)}"
        ),
        "8521a117",
    ),
}
"""Built, by hand but for its checksum, and that."""


@pytest.mark.parametrize("name", RECORDS)
def test_record(name: str) -> None:
    check(*RECORDS[name])


def encode(raw: bytes, number: int) -> tuple[bytes, bytes, int]:
    """Return the header, what is behind it, and the checksum."""
    encoder = chunks.Encoder(len(raw))
    encoder.raw.view[:] = raw
    encoded = encoder.encode(len(raw), number, SEED)
    assert len(encoded.record) % PAGE_SIZE == 0
    return bytes(encoded.record[:48]), bytes(encoded.record[48:]), encoded.checksum


def test_compressed_chunk() -> None:
    header, behind, checksum = encode(b"\xab\xcd" * 4096, 0x0102030405)
    size = header[20]
    assert behind == behind[:size].ljust(4096 - 48, b"\0")
    assert lz4.block.decompress(behind[:size], uncompressed_size=8192) == b"\xab\xcd" * 4096
    by_hand = (
        "54 43 48 4b 01 00 00 00"  # magic, codec, flags, reserved
        f"05 04 03 02 01 00 00 00 00 20 00 00 {size:02x} 00 00 00" + "00" * 20
    )
    assert header[:-4].hex(" ") == bytes.fromhex(by_hand).hex(" ")
    assert checksum == definition(UUID_0.bytes + bytes.fromhex(by_hand) + behind)
    assert header[-4:] == checksum.to_bytes(4, "little")


def test_chunk_of_equal_bytes() -> None:
    header, behind, _ = encode(b"\xab" * 8192, 5)
    assert behind == b"\xab".ljust(4096 - 48, b"\0")
    by_hand = "54 43 48 4b 02 00 00 00 05 00 00 00 00 00 00 00 00 20 00 00 01 00 00 00"
    check(header, by_hand + "00" * 20, "7b6d90f4", behind)


def test_chunk_that_does_not_compress() -> None:
    raw = noise(4096)
    header, behind, _ = encode(raw, 2)
    assert behind == raw.ljust(8192 - 48, b"\0")
    by_hand = "54 43 48 4b 00 00 00 00 02 00 00 00 00 00 00 00 00 10 00 00 00 10 00 00"
    check(header, by_hand + "00" * 20, "bffe43db", behind)


def test_block_by_hand_is_lz4() -> None:
    """A block of the LZ4 format: a literal, a match at offset 1, five literals."""
    assert lz4_run(b"z", 100) == bytes.fromhex("1f 7a 01 00 4b 50 7a 7a 7a 7a 7a")
    assert lz4.block.decompress(lz4_run(b"z", 100), uncompressed_size=100) == b"z" * 100


@pytest.mark.parametrize(
    ("pages", "last_page"), [(1000, "e7 03 00 00"), (1 << 32, "ff" * 4), (17 << 28, "ff" * 4)]
)
def test_first_page_of_a_store(pages: int, last_page: str) -> None:
    """A store of 16 TiB and more has more pages than a swap header can count."""
    fields = bytes.fromhex(f"01 00 00 00 {last_page} 00 00 00 00 {ID}")
    page = b"TORPSTOR".ljust(1024, b"\0") + fields
    assert empty_store(pages, UUID_0.bytes) == page.ljust(4086, b"\0") + b"ULSUSPEND\0"
    assert linux.PAGE_SIZE == PAGE_SIZE == 4096, "the kernel's swap areas have these pages, too"


def test_map_of_two_pages_names_the_second() -> None:
    extents = Extents()
    for page in range(2, 2 * 254 + 2, 2):
        extents.add(page)
    first, second = build_map(extents, UUID_0, [600, 700])
    assert first[8:24].hex(" ") == "00 00 00 00 fd 00 00 00 bc 02 00 00 00 00 00 00"
    assert second[8:24].hex(" ") == "01 00 00 00 01 00 00 00 00 00 00 00 00 00 00 00"


def test_data_path_packs_what_the_declaration_says() -> None:
    header, _, checksum = encode(noise(4096), 3)
    sizes = {"raw_size": 4096, "stored_size": 4096}
    declared = layout.build(layout.ChunkHeader, codec=0, number=3, **sizes, checksum=checksum)
    assert header == declared
    odd = {"number": 0x0807060504030201, "raw_size": 0x0C0B0A09, "stored_size": 0x100F0E0D}
    bare = layout.build(layout.ChunkHeader, magic=b"abcd", codec=1, flags=2, **odd)[:-4]
    assert chunks._BARE_HEADER.unpack(bare) == (b"abcd", 1, 2, *odd.values())


@pytest.mark.parametrize(
    ("record", "field", "value"),
    [
        (records.Superblock(UUID_0, -1, 4096, IDENTITY, platform=True), "created_ns", "-1"),
        (Mark(MarkState.COMPLETE, UUID_0, 0, 0, 1, page=1 << 64), "page", str(1 << 64)),
        (Guard([ROOT._replace(mount_point="/" * 65536)]), "mount_point", "65536"),
        (PageTypes(1, 2, -3, 4, 5, 6), "slab", "-3"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_a_record_cannot_hold_is_said_in_one_line(
    record: records.Superblock | Mark | Guard | PageTypes, field: str, value: str
) -> None:
    """An error of construct's has two lines, and no caller knows its type."""
    with pytest.raises(TorporError, match=f"^an image cannot hold this {field}: .*{value}$"):
        record.build()


@pytest.mark.parametrize("record", [layout.Superblock, layout.Mark, layout.WorkingSet])
def test_what_is_too_short_is_damaged(record: Struct) -> None:
    with pytest.raises(DamagedError, match="too short"):
        layout.parse(record, b"\1\0\0", "too short")


SPECIFICATION = (tools.ROOT / "docs/FORMAT.md").read_text()
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
    sizes = [field.sizeof() for field in record.subcons]
    return [*zip(accumulate(sizes, initial=0), sizes, strict=False)]


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
        ("### Index", layout.IndexHeader),
    ],
)
def test_table(heading: str, record: Struct) -> None:
    assert table_after(heading) == declared(record)


def test_table_of_the_seal() -> None:
    """Its offsets count from the superblock, and the recipients share a field with their size."""
    at, size = zip(*table_after("### Seal"), strict=True)
    fields = [(place + 364, length) for place, length in declared(sealed_layout.Seal)]
    (size_at, both), recipients = fields[4], 2
    fields[4] = (size_at, recipients)
    assert [*zip(at, size, strict=True)] == fields
    assert size_at + both == fields[5][0]


def test_limits() -> None:
    assert "\nchunk size | 4 MiB\nchunks | 2^20\nsections | 16 in" in SPECIFICATION
    assert "\nextents on a device | 2^18\n" in SPECIFICATION
    limits = (records.MAX_CHUNK_SIZE, records.MAX_CHUNKS, records.MAX_SECTIONS)
    assert (*limits, mark.MAX_EXTENTS) == (4 << 20, 1 << 20, 16, 1 << 18)
    assert (records.MAX_TABLE_SIZE, tables.MAX_ENTRIES) == (1 << 20, 4096)
    assert "\na table | 1 MiB\na working set, up to its names | 16 MiB, 1 MiB\n" in SPECIFICATION
    assert records.MAX_WORKING_SET_SIZE == 16 << 20
    assert (
        "\nits files, file systems | 2^20, 4096\nits ranges, processes | 2^21, 2^20\n"
        in SPECIFICATION
    )
    assert (working_set.MAX_FILES, working_set.MAX_FILE_SYSTEMS) == (1 << 20, 4096)
    assert (working_set.MAX_RANGES, working_set.MAX_PROCESSES) == (1 << 21, 1 << 20)
    assert "\none name, all | 4096 bytes, 64 MiB\n" in SPECIFICATION
    assert (working_set.MAX_PATH, working_set.MAX_NAMES) == (4096, 64 << 20)
    assert "\nentries of the guard | 4096\n" in SPECIFICATION
    assert f"\n{first_page.MARK_OFFSET} | {layout.MARK_SIZE} | mark |" in SPECIFICATION
