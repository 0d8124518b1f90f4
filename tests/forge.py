"""Records made from docs/FORMAT.md alone, sound or with a lie in them, all with right checksums.

Nothing here uses the code under test: struct and crcmod instead of format/, and LZ4 blocks put
together by hand, so that the bytes depend on no library's version.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import crcmod

PAGE = 4096
TRAILER = 64
UUID_A = UUID("0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0")
UUID_B = UUID("00112233-4455-6677-8899-aabbccddeeff")
CREATED_NS = 1_767_225_600_000_000_000
DIGEST = bytes(range(32))
MACHINE_ID = "fedcba98765432100123456789abcdef"
NONE, LZ4, FILL, ZSTD = range(4)

_crc = crcmod.mkCrcFun(0x11EDC6F41, initCrc=0, rev=True, xorOut=0xFFFFFFFF)


def filled(data: bytes, behind: int = 0) -> bytes:
    """Return the bytes and zeros, so that with `behind` bytes more they are whole pages."""
    return data + bytes(-(len(data) + behind) % PAGE)


def sealed(uuid: UUID, record: bytes, payload: bytes = b"") -> bytes:
    """Return the record with its checksum: over UUID, record and what is behind it."""
    return record + struct.pack("<I", _crc(uuid.bytes + record + payload))


@dataclass(frozen=True, slots=True)
class Super:
    """The fields of a superblock."""

    uuid: UUID = UUID_A
    magic: bytes = b"\x89TORPOR\n"
    version: int = 2
    required: int = 0
    optional: int = 0
    page_size: int = PAGE
    chunk_size: int = PAGE
    host_name: bytes = b"lynx"
    reserved: bytes = b""

    def build(self) -> bytes:
        words = (self.version, self.required, self.optional, self.page_size, self.chunk_size)
        head = struct.pack(
            "<8s5I4x16sQ32s", self.magic, *words, self.uuid.bytes, CREATED_NS, DIGEST
        )
        names = (b"6.1.0-37-amd64", b"#1 SMP Debian 6.1.140-1", b"x86_64", self.host_name)
        head += b"".join(name.ljust(65, b"\0") for name in names) + bytes.fromhex(MACHINE_ID)
        return sealed(self.uuid, (head + self.reserved).ljust(4092, b"\0"))


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk as it is in an image, and what the index has to say of it."""

    record: bytes
    raw_size: int
    checksum: int


def chunk(
    number: int,
    payload: bytes,
    raw_size: int = PAGE,
    *,
    codec: int = NONE,
    flags: int = 0,
    magic: bytes = b"TCHK",
    stored_size: int | None = None,
    behind: bytes = b"",
    uuid: UUID = UUID_A,
) -> Piece:
    """Return a chunk; `behind` the payload there are these bytes, then zeros to whole pages."""
    stored = len(payload) if stored_size is None else stored_size
    bare = struct.pack("<4sBB2xQII20x", magic, codec, flags, number, raw_size, stored)
    rest = filled(payload + behind, 48)
    header = sealed(uuid, bare, rest)
    return Piece(header + rest, raw_size, int.from_bytes(header[-4:], "little"))


def lz4_run(byte: bytes, size: int) -> bytes:
    """Return an LZ4 block of `size` equal bytes: one literal, one long match, five literals."""
    match = size - 6
    extra = match - 4 - 15
    lengths = b"\xff" * (extra // 255) + bytes([extra % 255])
    return b"\x1f" + byte + b"\x01\x00" + lengths + b"\x50" + byte * 5


def zstd_run(byte: bytes, size: int, claimed: int | None = None) -> bytes:
    """Return a Zstandard frame (RFC 8878) of `size` equal bytes, at most 64 KiB: one RLE block."""
    content = (size if claimed is None else claimed) - 256
    block = 1 | 1 << 1 | size << 3
    frame = b"\x28\xb5\x2f\xfd\x60" + content.to_bytes(2, "little")
    return frame + block.to_bytes(3, "little") + byte


def section_header(kind: int = 1, flags: int = 0, first: int = 0, uuid: UUID = UUID_A) -> bytes:
    return sealed(uuid, struct.pack("<4s3I4076x", b"TSEC", kind, flags, first))


def index(
    sections: Iterable[tuple[int, int, int, int, int]],
    offsets: Sequence[int],
    checksums: Sequence[int],
    *,
    magic: bytes = b"TIDX",
    counts: tuple[int, int] | None = None,
    padding: bytes | None = None,
    uuid: UUID = UUID_A,
) -> bytes:
    """Return an index; a section is (kind, flags, first chunk, chunks, raw bytes).

    `padding` stands for the zeros that make whole pages of it and the trailer.
    """
    rows = list(sections)
    claimed = counts or (len(rows), len(offsets))
    record = struct.pack("<4sII4x", magic, *claimed)
    record += b"".join(struct.pack("<4IQ", *row) for row in rows)
    record += struct.pack(f"<{len(offsets)}Q", *offsets)
    record += struct.pack(f"<{len(checksums)}I", *checksums)
    return sealed(uuid, filled(record, 4 + TRAILER) if padding is None else record + padding)


def trailer(
    size: int,
    index_offset: int,
    index_size: int,
    *,
    uuid: UUID = UUID_A,
    magic: bytes = b"TORPDONE",
) -> bytes:
    head = struct.pack("<8s16sQQI16x", magic, uuid.bytes, size, index_offset, index_size)
    return sealed(uuid, head)


@dataclass(frozen=True, slots=True)
class Parts:
    """An image taken apart: change one part with dataclasses.replace, put it together again.

    None is what follows from the other parts.
    """

    superblock: Super
    pieces: tuple[Piece, ...]
    tables: tuple[tuple[int, Piece], ...] = ()
    """Kind and only chunk of each section behind the stream."""
    section: bytes | None = None
    index: bytes | None = None
    trailer: bytes | None = None
    finish: Callable[[bytes], bytes] = bytes
    """What is done to index and trailer, if they follow from the other parts."""

    def with_tables(self, *tables: tuple[int, bytes]) -> "Parts":
        """Return it with these tables, kind and bytes, a chunk each behind those of the stream."""
        numbered = enumerate(tables, len(self.pieces))
        made = ((kind, chunk(nth, data, len(data))) for nth, (kind, data) in numbered)
        return replace(self, tables=tuple(made))

    def chunks(self) -> list[Piece]:
        """Return those of the stream, then those of the tables."""
        return [*self.pieces, *(piece for _, piece in self.tables)]

    def offsets(self) -> list[int]:
        end, starts = 2 * PAGE, []
        for nth, piece in enumerate(self.chunks()):
            starts.append(end if nth < len(self.pieces) else end + PAGE)
            end = starts[-1] + len(piece.record)
        return starts

    def rows(self) -> list[tuple[int, int, int, int, int]]:
        stream = (1, 0, 0, len(self.pieces), sum(piece.raw_size for piece in self.pieces))
        numbered = enumerate(self.tables, len(self.pieces))
        return [stream, *((kind, 0, nth, 1, piece.raw_size) for nth, (kind, piece) in numbered)]

    def checksums(self) -> list[int]:
        return [piece.checksum for piece in self.chunks()]

    def build(self) -> bytes:
        uuid = self.superblock.uuid
        section = section_header(uuid=uuid) if self.section is None else self.section
        body = self.superblock.build() + section
        body += b"".join(piece.record for piece in self.pieces)
        for nth, (kind, piece) in enumerate(self.tables, len(self.pieces)):
            body += section_header(kind, first=nth, uuid=uuid) + piece.record
        table = self.index
        if table is None:
            table = index(self.rows(), self.offsets(), self.checksums(), uuid=uuid)
            table = self.finish(table)
        end = self.trailer
        if end is None:
            end = trailer(len(body) + len(table) + TRAILER, len(body), len(table), uuid=uuid)
            end = self.finish(end)
        return body + table + end


def mark(
    image_size: int,
    map_page: int,
    extents: int,
    *,
    uuid: UUID = UUID_A,
    version: int = 1,
    state: int = 1,
    page: int = 0,
    loads: int = 0,
    attempts: int = 0,
    header_page: int = 0,
) -> bytes:
    place = (image_size, map_page, extents, page)
    fields = (version, state, uuid.bytes, *place, loads, attempts, header_page)
    return sealed(uuid, struct.pack("<8sHH4x16sQQIQHHQ180x", b"TORPMARK", *fields))


def text(value: bytes, width: str = "H") -> bytes:
    return struct.pack(f"<{width}", len(value)) + value


def guard_entry(
    *,
    method: int = 1,
    flags: int = 0,
    identity: bytes = UUID_B.bytes,
    fingerprint: bytes = DIGEST,
    mount_point: bytes = b"/",
    size: int = 1 << 30,
    layers: bytes | None = None,
) -> bytes:
    """Return an entry; without layers as 0.1.0 wrote it."""
    below, flags = (b"", flags) if layers is None else (text(layers, "I"), flags | 1)
    head = struct.pack("<HH16sQ32s", method, flags, identity, size, fingerprint)
    return head + text(b"ext4") + text(b"/dev/vda1") + text(b"") + text(mount_point) + below


def guard(*entries: bytes, count: int | None = None) -> bytes:
    return struct.pack("<I", len(entries) if count is None else count) + b"".join(entries)


def facts(ram_map: bytes, processor: bytes, features: bytes) -> bytes:
    return text(ram_map, "I") + text(processor, "I") + text(features, "I")


def leb(*numbers: int) -> bytes:
    """Return the numbers in LEB128."""
    out = b""
    for number in numbers:
        digits = [number >> shift & 127 for shift in range(0, max(number.bit_length(), 1), 7)]
        out += bytes([*(128 | digit for digit in digits[:-1]), digits[-1]])
    return out


NAMES = b"\x00\x05bin/a\x04\x01b\x00\x01c"
"""Of the files in working_set."""


def working_set(
    *,
    flags: int = 0,
    file_counts: Sequence[int] = (2, 1),
    names: bytes = NAMES,
    checks: bytes = bytes(range(12)),
    ranges: bytes = leb(5, 0, 0, 300, 999, 2, 7, 1, 0),
    processes: bytes = leb(1, 17, 1, 0x7FFF_FFFF, 511, 4194304, 12345, 0),
) -> bytes:
    """Return a working set of three files on two file systems, and two processes."""
    data = struct.pack("<I16sI", flags, UUID_B.bytes, len(file_counts))
    for nth, count in enumerate(file_counts):
        device = (b"UUID=1-2", b"/dev/\xffb")[nth % 2]
        data += (
            struct.pack("<I", count) + text(device) + text(b"/") + text((b"/", b"/srv")[nth % 2])
        )
    return data + b"".join(text(part, "I") for part in (names, checks, ranges, processes))


def working_set_file(data: bytes, *, magic: bytes = b"TORPWSET", version: int = 1) -> bytes:
    bare = struct.pack("<8sI", magic, version) + text(data, "I")
    return bare + struct.pack("<I", _crc(bare))


def map_page(
    runs: Sequence[tuple[int, int]],
    *,
    sequence: int = 0,
    following: int = 0,
    magic: bytes = b"TORPXMAP",
    count: int | None = None,
    uuid: UUID = UUID_A,
) -> bytes:
    used = len(runs) if count is None else count
    head = struct.pack("<8sIIQ", magic, sequence, used, following)
    for column in (0, 1):
        values = [run[column] for run in runs]
        head += struct.pack(f"<{len(values)}Q", *values).ljust(253 * 8, b"\0")
    return sealed(uuid, head + bytes(20))


SWAP_UUID = UUID("5a5a5a5a-1111-4222-8333-444444444444")
SWAP, USER, KERNEL = b"SWAPSPACE2", b"ULSUSPEND\0", b"S1SUSPEND\0"
"""Signatures."""


def header_page(
    pages: int,
    marked: bytes = b"",
    *,
    start: bytes = b"",
    signature: bytes = SWAP,
    uuid: UUID = SWAP_UUID,
) -> bytes:
    """Return a device's first page: a swap header of version 1 with a mark in it."""
    page = bytearray(PAGE)
    page[: len(start)] = start
    struct.pack_into("<III16s16s", page, 1024, 1, pages - 1, 0, uuid.bytes, b"sleep")
    page[1280 : 1280 + len(marked)] = marked
    page[4086:] = signature
    return bytes(page)


def device(
    pages: int, first: bytes, maps: dict[int, bytes], image: bytes, runs: Sequence[tuple[int, int]]
) -> bytes:
    """Return a device of so many pages; those that nothing was written to hold old data."""
    data = bytearray(b"\xdb" * (pages * PAGE))
    data[:PAGE] = first
    for page, content in maps.items():
        data[page * PAGE : (page + 1) * PAGE] = content
    rest = image.ljust(-(-len(image) // PAGE) * PAGE, b"\0")
    for start, count in runs:
        part, rest = rest[: count * PAGE], rest[count * PAGE :]
        data[start * PAGE : start * PAGE + len(part)] = part
    return bytes(data)
