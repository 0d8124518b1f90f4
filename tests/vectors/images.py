"""The vectors that are image files."""

import hashlib
from dataclasses import replace

from tests import forge
from tests.forge import (
    FILL,
    LZ4,
    PAGE,
    TRAILER,
    UUID_B,
    ZSTD,
    Parts,
    Piece,
    Super,
    chunk,
    index,
    lz4_run,
    section_header,
    trailer,
    zstd_run,
)

Broken = tuple[str, int, str, bytes]
"""Rule, exit code, part of the message, file."""


def noise(size: int) -> bytes:
    """Return bytes that do not compress."""
    blocks = range(-(-size // 32))
    return b"".join(hashlib.sha256(b"noise %d" % n).digest() for n in blocks)[:size]


def run(number: int, byte: bytes, size: int = PAGE) -> Piece:
    return chunk(number, lz4_run(byte, size), size, codec=LZ4)


BASE = Parts(Super(), (run(0, b"A"), chunk(1, noise(PAGE)), run(2, b"\0")))
BASE_STREAM = b"A" * PAGE + noise(PAGE) + bytes(PAGE)
A_PAGE = b"A" * PAGE
SMALL = Parts(Super(), (run(0, b"A"), run(1, b"B")))
"""Most of what can be wrong needs no more than this."""


FACTS = forge.facts(b"0x0 0x9ffff System RAM", b"Testing 9000", b"avx fpu sse2")


def renumbered(first: int) -> tuple[tuple[int, Piece], ...]:
    """Return guard and machine facts as the chunks from `first` on."""
    guard = forge.guard(forge.guard_entry(), forge.guard_entry(mount_point=b"/home"))
    return tuple(
        (kind, chunk(nth, data, len(data)))
        for nth, (kind, data) in enumerate(((2, guard), (3, FACTS)), first)
    )


TABLED = replace(SMALL, tables=renumbered(2))


def with_super(superblock: Super) -> bytes:
    return replace(SMALL, superblock=superblock).build()


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


def sound() -> dict[str, tuple[bytes, bytes]]:
    """Return the sound images with their streams."""
    long_chunks = Super(chunk_size=2 * PAGE)
    several = (
        run(0, b"x", 2 * PAGE),
        chunk(1, noise(2 * PAGE), 2 * PAGE),
        run(2, b"y"),
    )
    streams = {
        "empty": (Parts(Super(), ()), b""),
        "one-page": (Parts(Super(), (chunk(0, noise(PAGE)),)), noise(PAGE)),
        "three-chunks": (BASE, BASE_STREAM),
        "short-last-chunk": (
            Parts(long_chunks, several),
            b"x" * (2 * PAGE) + noise(2 * PAGE) + b"y" * PAGE,
        ),
        "with-tables": (TABLED, b"A" * PAGE + b"B" * PAGE),
        "tables-without-stream": (replace(TABLED, pieces=(), tables=renumbered(0)), b""),
        "run": (
            replace(SMALL, pieces=(run(0, b"A"), chunk(1, b"r", codec=FILL))),
            A_PAGE + b"r" * PAGE,
        ),
        "zstd": (
            replace(SMALL, pieces=(run(0, b"A"), chunk(1, zstd_run(b"z", PAGE), codec=ZSTD))),
            A_PAGE + b"z" * PAGE,
        ),
        "zero-pages": (Parts(long_chunks, (run(0, b"\0", 2 * PAGE),)), bytes(2 * PAGE)),
        "largest-chunk-size": (Parts(Super(chunk_size=4 << 20), several[:1]), b"x" * (2 * PAGE)),
        "host-name-not-ascii": (
            replace(SMALL, superblock=Super(host_name="luchs-für-日本".encode())),
            b"A" * PAGE + b"B" * PAGE,
        ),
        "host-name-not-utf8": (
            replace(SMALL, superblock=Super(host_name=b"l\xfcchs\x1b[31m")),
            b"A" * PAGE + b"B" * PAGE,
        ),
        "unknown-optional-flag": (
            replace(SMALL, superblock=Super(optional=0x8000_0001)),
            b"A" * PAGE + b"B" * PAGE,
        ),
        "reserved-bytes-set": (
            replace(SMALL, superblock=Super(reserved=b"from a later version")),
            b"A" * PAGE + b"B" * PAGE,
        ),
    }
    return {f"sound-{name}": (parts.build(), data) for name, (parts, data) in streams.items()}


def broken() -> dict[str, Broken]:
    """Return all image files that break a rule."""
    return _superblocks() | _ends() | _indexes() | _sections() | _places() | _chunks() | _codecs()


def _superblocks() -> dict[str, Broken]:
    data = SMALL.build()
    features, size = "unknown features", "impossible chunk size"
    return {
        "no-magic": ("R1", 3, "neither an image", with_super(Super(magic=b"\x89TORPOR\r"))),
        "zeros": ("R1", 3, "neither an image", bytes(2 * PAGE)),
        "nothing": ("R1", 3, "too few", b""),
        "cut-in-superblock": ("R2", 4, "cut off at byte 2000", data[:2000]),
        "cut-after-magic": ("R2", 4, "cut off at byte 8", data[:8]),
        "version-2": ("R3", 5, "format version 2", with_super(Super(version=2))),
        "version-0": ("R3", 5, "format version 0", with_super(Super(version=0))),
        "required-flag": ("R4", 5, f"{features} 0x1", with_super(Super(required=1))),
        "required-flag-high": ("R4", 5, features, with_super(Super(required=1 << 31))),
        "page-size": ("R5", 5, "pages of 16384", with_super(Super(page_size=16384))),
        "chunk-size-zero": ("R6", 4, size, with_super(Super(chunk_size=0))),
        "chunk-size-not-pages": ("R6", 4, size, with_super(Super(chunk_size=6000))),
        "chunk-size-absurd": ("R6", 4, size, with_super(Super(chunk_size=(4 << 20) + PAGE))),
        "superblock-checksum": ("R7", 4, "superblock has a wrong", flipped(data, 300)),
        "superblock-reserved": ("R7", 4, "superblock has a wrong", flipped(data, 4000)),
    }


def _ends() -> dict[str, Broken]:
    data = SMALL.build()
    size, no_trailer = len(data), "no trailer"
    at = size - TRAILER
    offsets = SMALL.offsets()
    table = index(SMALL.rows(), offsets, SMALL.checksums())
    start = at - len(table)
    other = replace(SMALL, trailer=trailer(size, start, len(table), uuid=UUID_B))
    longer = replace(SMALL, trailer=trailer(size + 1, start, len(table)))
    off = replace(SMALL, trailer=trailer(size, start + 1, len(table)))
    low = replace(SMALL, trailer=trailer(size, 0, at))
    tiny = replace(SMALL, trailer=trailer(size, at - 10, 10))
    return {
        "cut-after-superblock": ("R8", 4, "cut off", data[:PAGE]),
        "cut-in-section-header": ("R8", 4, "cut off", data[: PAGE + 16]),
        "cut-before-chunks": ("R8", 4, "cut off", data[: PAGE + 32]),
        "cut-in-chunk-header": ("R8", 4, no_trailer, data[: offsets[1] + 20]),
        "cut-in-chunk": ("R8", 4, no_trailer, data[: offsets[1] + 60]),
        "cut-in-index": ("R8", 4, no_trailer, data[: start + 10]),
        "cut-before-trailer": ("R8", 4, no_trailer, data[:at]),
        "cut-in-trailer": ("R8", 4, no_trailer, data[:-1]),
        "extra-byte": ("R8", 4, no_trailer, data + b"\0"),
        "extra-page": ("R8", 4, no_trailer, data + bytes(PAGE)),
        "trailer-of-another-image": ("R8", 4, no_trailer, other.build()),
        "trailer-checksum": ("R9", 4, "trailer has a wrong", flipped(data, size - 10)),
        "trailer-size": ("R10", 4, f"claims to have {size + 1}", longer.build()),
        "trailer-index-elsewhere": ("R11", 4, "impossible index", off.build()),
        "trailer-index-too-low": ("R11", 4, "impossible index", low.build()),
        "trailer-index-too-small": ("R11", 4, "impossible index of 10", tiny.build()),
    }


def _indexes() -> dict[str, Broken]:
    rows, offsets, checksums = SMALL.rows(), SMALL.offsets(), SMALL.checksums()

    def having(table: bytes) -> bytes:
        return replace(SMALL, index=table).build()

    table = index(rows, offsets, checksums)
    many, more = (1, 0xFFFF_FFFF), (0xFFFF_FFFF, 2)
    return {
        "index-magic": (
            "R12",
            4,
            "no index where",
            having(index(rows, offsets, checksums, magic=b"TIDY")),
        ),
        "index-absurd-chunks": (
            "R13",
            4,
            "4294967295 chunks",
            having(index(rows, offsets, checksums, counts=many)),
        ),
        "index-absurd-sections": (
            "R13",
            4,
            "4294967295 sections",
            having(index(rows, offsets, checksums, counts=more)),
        ),
        "index-size": (
            "R14",
            4,
            "does not fit its own",
            having(index(rows, offsets, checksums, counts=(1, 3))),
        ),
        "index-checksum": ("R15", 4, "index has a wrong", having(flipped(table, 45))),
        "index-of-another-image": (
            "R15",
            4,
            "index has a wrong",
            having(index(rows, offsets, checksums, uuid=UUID_B)),
        ),
    }


def _sections() -> dict[str, Broken]:
    offsets, checksums = SMALL.offsets(), SMALL.checksums()
    stream = SMALL.rows()[0]
    cases = {
        "section-unknown-kind": ("R16", 5, "unknown kind 9", [(9, *stream[1:])]),
        "section-flags": ("R16", 5, "unknown kind", [(1, 1, *stream[2:])]),
        "section-missing": ("R17", 4, "0 kernel streams", []),
        "section-twice": ("R17", 4, "2 kernel streams", [(1, 0, 0, 1, PAGE), (1, 0, 1, 1, PAGE)]),
        "section-first-chunk": ("R18", 4, "impossible section", [(1, 0, 1, 2, 2 * PAGE)]),
        "section-bytes": ("R18", 4, "impossible section", [(1, 0, 0, 2, 3 * PAGE)]),
        "section-bytes-absurd": ("R18", 4, "impossible section", [(1, 0, 0, 2, 1 << 63)]),
        "section-not-whole-pages": ("R18", 4, "impossible section", [(1, 0, 0, 2, PAGE + 1)]),
        "section-leaves-a-chunk": ("R18", 4, "hold 1 of 2", [(1, 0, 0, 1, PAGE)]),
        "section-before-the-stream": (
            "R39",
            4,
            "impossible order: [2, 1]",
            [(2, 0, 0, 1, PAGE), (1, 0, 1, 1, PAGE)],
        ),
        "section-table-twice": (
            "R39",
            4,
            "impossible order: [1, 2, 2]",
            [(1, 0, 0, 0, 0), (2, 0, 0, 1, 9), (2, 0, 1, 1, 9)],
        ),
        "section-empty-table": ("R18", 4, "impossible section", [stream, (2, 0, 2, 0, 0)]),
        "section-table-too-large": (
            "R18",
            4,
            "impossible section",
            [(1, 0, 0, 1, PAGE), (2, 0, 1, 257, (1 << 20) + PAGE)],
        ),
    }
    return {
        name: (rule, code, message, replace(SMALL, index=index(rows, offsets, checksums)).build())
        for name, (rule, code, message, rows) in cases.items()
    }


def _places() -> dict[str, Broken]:
    rows, offsets, checksums = SMALL.rows(), SMALL.offsets(), SMALL.checksums()
    first, second = SMALL.pieces
    gap = replace(SMALL, pieces=(first, replace(second, record=bytes(9) + second.record)))
    holed = replace(gap, index=index(rows, [*offsets[:1], offsets[1] + 9], checksums))

    def having(places: list[int]) -> bytes:
        return replace(SMALL, index=index(rows, places, checksums)).build()

    size, header = "impossible size", "section header at byte 4096"
    return {
        "index-gap": ("R22", 4, "chunk 0 does not fit", holed.build()),
        "index-first-elsewhere": ("R19", 4, "is at byte 4129", having([4129, offsets[1]])),
        "index-same-place": ("R19", 4, size, having([offsets[0], offsets[0]])),
        "index-beyond-end": ("R19", 4, size, having([offsets[0], 1 << 63])),
        "index-out-of-order": ("R19", 4, "is at byte", having(offsets[::-1])),
        "section-header-checksum": ("R20", 4, header, flipped(SMALL.build(), PAGE + 20)),
        "section-header-kind": (
            "R20",
            4,
            header,
            replace(SMALL, section=section_header(kind=2)).build(),
        ),
        "section-header-of-a-table": (
            "R20",
            4,
            f"section header at byte {TABLED.offsets()[2] - 32}",
            flipped(TABLED.build(), TABLED.offsets()[2] - 20),
        ),
        "section-header-missing": (
            "R20",
            4,
            header,
            replace(SMALL, section=bytes(32)).build(),
        ),
    }


def _second(piece: Piece) -> bytes:
    return replace(SMALL, pieces=(SMALL.pieces[0], piece)).build()


def _chunks() -> dict[str, Broken]:
    first, second = SMALL.pieces
    payload = lz4_run(b"B", PAGE)
    kept = SMALL.checksums()
    wrong_sum = index(SMALL.rows(), SMALL.offsets(), [kept[0], kept[1] ^ 1])
    hit = replace(second, record=flipped(second.record, 50))
    numbered, fit = chunk(7, payload, codec=LZ4), "chunk 1 does not fit"
    renumbered = replace(SMALL, pieces=(second, first))
    bad_sum = "chunk 1 has a wrong checksum"
    return {
        "chunk-magic": (
            "R21",
            4,
            "chunk 1 is not where",
            _second(chunk(1, payload, codec=LZ4, magic=b"TCHX")),
        ),
        "chunks-swapped": ("R22", 4, "chunk 0 does not fit", renumbered.build()),
        "chunk-number": ("R22", 4, fit, _second(numbered)),
        "chunk-raw-size": (
            "R22",
            4,
            fit,
            _second(replace(chunk(1, payload, 2 * PAGE, codec=LZ4), raw_size=PAGE)),
        ),
        "chunk-stored-size": (
            "R22",
            4,
            fit,
            _second(chunk(1, payload, codec=LZ4, stored_size=0xFFFF_FFFF)),
        ),
        "chunk-checksum": ("R23", 4, bad_sum, _second(hit)),
        "chunk-of-another-image": (
            "R23",
            4,
            bad_sum,
            _second(chunk(1, payload, codec=LZ4, uuid=UUID_B)),
        ),
        "chunk-not-the-indexed": ("R23", 4, bad_sum, replace(SMALL, index=wrong_sum).build()),
    }


def _codecs() -> dict[str, Broken]:
    payload, unknown = lz4_run(b"B", PAGE), "encoded in an unknown way"
    undone = "chunk 1 cannot be decompressed"
    bomb = lz4_run(b"\0", 4 << 18)
    return {
        "chunk-codec": ("R24", 5, unknown, _second(chunk(1, payload, codec=4))),
        "chunk-flags": ("R24", 5, unknown, _second(chunk(1, payload, codec=LZ4, flags=1))),
        "chunk-garbage": ("R25", 4, undone, _second(chunk(1, b"\xf3" * 90, codec=LZ4))),
        "chunk-run-of-two": ("R25", 4, undone, _second(chunk(1, b"BB", codec=FILL))),
        "chunk-zstd-garbage": ("R25", 4, undone, _second(chunk(1, b"\xf3" * 90, codec=ZSTD))),
        "chunk-zstd-cut": (
            "R25",
            4,
            undone,
            _second(chunk(1, zstd_run(b"B", PAGE)[:-1], codec=ZSTD)),
        ),
        "chunk-zstd-longer": (
            "R25",
            4,
            undone,
            _second(chunk(1, zstd_run(b"B", PAGE) + b"B", codec=ZSTD)),
        ),
        "chunk-zstd-too-large": (
            "R25",
            4,
            undone,
            _second(chunk(1, zstd_run(b"B", 2 * PAGE), codec=ZSTD)),
        ),
        "chunk-zstd-lies": (
            "R25",
            4,
            undone,
            _second(chunk(1, zstd_run(b"B", 2 * PAGE, PAGE), codec=ZSTD)),
        ),
        "chunk-bomb": ("R25", 4, undone, with_bomb(bomb)),
        "chunk-too-short": (
            "R25",
            4,
            undone,
            _second(chunk(1, lz4_run(b"B", 2048), codec=LZ4)),
        ),
        "chunk-raw-too-short": (
            "R25",
            4,
            "holds 2048 bytes instead of 4096",
            _second(chunk(1, noise(2048))),
        ),
    }


def with_bomb(payload: bytes) -> bytes:
    """Return an image whose second chunk of two pages decompresses to a MiB."""
    superblock = Super(chunk_size=2 * PAGE)
    pieces = (run(0, b"A", 2 * PAGE), chunk(1, payload, 2 * PAGE, codec=LZ4))
    return Parts(superblock, pieces).build()
