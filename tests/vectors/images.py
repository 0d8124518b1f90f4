"""The vectors that are image files."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar
from uuid import UUID

from tests import forge
from tests.forge import LZ4, PAGE, Parts, Super, chunk, guard, index, leb, lz4_run, working_set

Broken = tuple[str, str, bytes]
"""Rule, part of the message, file."""
Made = TypeVar("Made")


def built(
    cases: dict[str, tuple[str, str, Made]], build: Callable[[Made], bytes]
) -> dict[str, Broken]:
    """Return the cases with the file that is built of the last of each."""
    return {name: (rule, message, build(made)) for name, (rule, message, made) in cases.items()}


def noise(size: int) -> bytes:
    """Return bytes that do not compress."""
    blocks = range(-(-size // 32))
    return b"".join(hashlib.sha256(b"noise %d" % n).digest() for n in blocks)[:size]


def run(number: int, byte: bytes, size: int = PAGE) -> forge.Piece:
    return chunk(number, lz4_run(byte, size), size, codec=LZ4)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


A_PAGE, B_PAGE = b"A" * PAGE, b"B" * PAGE
BASE = Parts(Super(), (run(0, b"A"), chunk(1, noise(PAGE)), run(2, b"\0")))
BASE_STREAM = A_PAGE + noise(PAGE) + bytes(PAGE)
SMALL = Parts(Super(), (run(0, b"A"), run(1, b"B")))
"""Most of what can be wrong needs no more than this."""
SMALL_STREAM = A_PAGE + B_PAGE
LONG = Parts(
    Super(chunk_size=2 * PAGE),
    (run(0, b"x", 2 * PAGE), chunk(1, noise(2 * PAGE), 2 * PAGE), run(2, b"y")),
)
FACTS = forge.facts(b"0x0 0x9ffff System RAM", b"Testing 9000", b"avx fpu sse2")
TABLES = ((2, guard(forge.guard_entry(), forge.guard_entry(mount_point=b"/home"))), (3, FACTS))
LAYERED = guard(forge.guard_entry(layers=b"partition from sector 2048, of 409600\ndisk"))
TABLED = SMALL.with_tables(*TABLES)
PAGE_TYPES = bytes(range(48))


def with_super(superblock: Super) -> bytes:
    return replace(SMALL, superblock=superblock).build()


def with_index(table: bytes) -> bytes:
    return replace(SMALL, index=table).build()


def with_second(piece: forge.Piece) -> bytes:
    return replace(SMALL, pieces=(SMALL.pieces[0], piece)).build()


def sound() -> dict[str, tuple[bytes, bytes]]:
    """Return the sound images with their streams."""

    def small(superblock: Super) -> tuple[Parts, bytes]:
        return replace(SMALL, superblock=superblock), SMALL_STREAM

    def second(piece: forge.Piece) -> Parts:
        return replace(SMALL, pieces=(run(0, b"A"), piece))

    long_stream = b"x" * (2 * PAGE) + noise(2 * PAGE) + b"y" * PAGE
    zeros = replace(LONG, pieces=(run(0, b"\0", 2 * PAGE),))
    zstd = chunk(1, forge.zstd_run(b"z", PAGE), codec=forge.ZSTD)
    streams = {
        "empty": (Parts(Super(), ()), b""),
        "one-page": (Parts(Super(), (chunk(0, noise(PAGE)),)), noise(PAGE)),
        "three-chunks": (BASE, BASE_STREAM),
        "short-last-chunk": (LONG, long_stream),
        "with-tables": (TABLED, SMALL_STREAM),
        "with-layers": (SMALL.with_tables((2, LAYERED), (3, FACTS)), SMALL_STREAM),
        "tables-without-stream": (Parts(Super(), ()).with_tables(*TABLES), b""),
        "run": (second(chunk(1, b"r", codec=forge.FILL)), A_PAGE + b"r" * PAGE),
        "zstd": (second(zstd), A_PAGE + b"z" * PAGE),
        "zero-pages": (zeros, bytes(2 * PAGE)),
        "largest-chunk-size": (Parts(Super(chunk_size=4 << 20), LONG.pieces[:1]), b"xx" * PAGE),
        "host-name-not-ascii": small(Super(host_name="luchs-für-日本".encode())),
        "host-name-not-utf8": small(Super(host_name=b"l\xfcchs\x1b[31m")),
        "unknown-optional-flag": small(Super(optional=0x8000_0001)),
        "reserved-bytes-set": (_reserved_bytes_set(), SMALL_STREAM),
        "working-set": (SMALL.with_tables((4, working_set()), (5, PAGE_TYPES)), SMALL_STREAM),
    }
    return {f"sound-{name}": (parts.build(), data) for name, (parts, data) in streams.items()}


def _reserved_bytes_set() -> Parts:
    """Return an image with something in place of all zeros that a reader does not look at."""
    later = b"from a later version"
    pieces = (chunk(0, lz4_run(b"A", PAGE), codec=LZ4, behind=later), SMALL.pieces[1])
    made = Parts(Super(reserved=later), pieces)
    zeros = len(index(made.rows(), made.offsets(), made.checksums())) - 20 - 24 - 2 * 12
    table = index(made.rows(), made.offsets(), made.checksums(), padding=b"?" * zeros)
    return replace(made, index=table)


def broken() -> dict[str, Broken]:
    """Return all image files that break a rule."""
    stream = _superblocks() | _ends() | _indexes() | _sections() | _places() | _chunks() | _codecs()
    return stream | _tables()


def _superblocks() -> dict[str, Broken]:
    data = SMALL.build()
    features, size = "unknown features", "impossible chunk size"
    return {
        "no-magic": ("R1", "neither an image", with_super(Super(magic=b"\x89TORPOR\r"))),
        "zeros": ("R1", "neither an image", bytes(2 * PAGE)),
        "nothing": ("R1", "too few", b""),
        "cut-in-superblock": ("R2", "cut off at byte 2000", data[:2000]),
        "cut-after-magic": ("R2", "cut off at byte 8", data[:8]),
        "version-3": ("R3", "format version 3", with_super(Super(version=3))),
        "version-0": ("R3", "format version 0", with_super(Super(version=0))),
        "required-flag": ("R4", f"{features} 0x2", with_super(Super(required=3))),
        "required-flag-high": ("R4", features, with_super(Super(required=1 << 31))),
        "page-size": ("R5", "pages of 16384", with_super(Super(page_size=16384))),
        "chunk-size-zero": ("R6", size, with_super(Super(chunk_size=0))),
        "chunk-size-not-pages": ("R6", size, with_super(Super(chunk_size=6000))),
        "chunk-size-absurd": ("R6", size, with_super(Super(chunk_size=(4 << 20) + PAGE))),
        "superblock-checksum": ("R7", "superblock has a wrong", flipped(data, 300)),
        "superblock-reserved": ("R7", "superblock has a wrong", flipped(data, 4000)),
    }


def _ends() -> dict[str, Broken]:
    data = SMALL.build()
    size, no_trailer = len(data), "no trailer"
    at = size - forge.TRAILER
    offsets = SMALL.offsets()
    table = index(SMALL.rows(), offsets, SMALL.checksums())
    start = at - len(table)

    def ending(claimed: int, first: int, length: int, uuid: UUID = forge.UUID_A) -> bytes:
        return replace(SMALL, trailer=forge.trailer(claimed, first, length, uuid=uuid)).build()

    other = ending(size, start, len(table), forge.UUID_B)
    longer = ending(size + 1, start, len(table))
    elsewhere = ending(size, start + 1, len(table))
    wrong = "impossible index"
    return {
        "cut-after-superblock": ("R8", "cut off", data[:PAGE]),
        "cut-in-section-header": ("R8", "cut off", data[: PAGE + 16]),
        "cut-before-chunks": ("R8", no_trailer, data[: 2 * PAGE]),
        "cut-in-chunk-header": ("R8", no_trailer, data[: offsets[1] + 20]),
        "cut-in-chunk": ("R8", no_trailer, data[: offsets[1] + 60]),
        "cut-in-index": ("R8", no_trailer, data[: start + 10]),
        "cut-before-trailer": ("R8", no_trailer, data[:at]),
        "cut-in-trailer": ("R8", no_trailer, data[:-1]),
        "extra-byte": ("R8", no_trailer, data + b"\0"),
        "extra-page": ("R8", no_trailer, data + bytes(PAGE)),
        "trailer-of-another-image": ("R8", no_trailer, other),
        "trailer-checksum": ("R9", "trailer has a wrong", flipped(data, size - 10)),
        "trailer-size": ("R10", f"claims to have {size + 1}", longer),
        "trailer-index-elsewhere": ("R11", wrong, elsewhere),
        "trailer-index-too-low": ("R11", wrong, ending(size, 0, at)),
        "trailer-index-too-small": ("R11", f"{wrong} of 10", ending(size, at - 10, 10)),
    }


def _indexes() -> dict[str, Broken]:
    table = partial(index, SMALL.rows(), SMALL.offsets(), SMALL.checksums())
    size, wrong_sum = "does not fit its own", "index has a wrong"
    cases = {
        "index-magic": ("R12", "no index where", table(magic=b"TIDY")),
        "index-absurd-chunks": ("R13", "4294967295 chunks", table(counts=(1, 0xFFFF_FFFF))),
        "index-absurd-sections": ("R13", "4294967295 sections", table(counts=(0xFFFF_FFFF, 2))),
        "index-size": ("R14", size, table(counts=(1, 400))),
        "index-without-zeros": ("R14", size, table(padding=b"")),
        "index-with-a-page-of-zeros": ("R14", size, table(padding=bytes(len(table()) - 68 + PAGE))),
        "index-checksum": ("R15", wrong_sum, flipped(table(), 45)),
        "index-of-another-image": ("R15", wrong_sum, table(uuid=forge.UUID_B)),
    }
    return built(cases, with_index)


def _sections() -> dict[str, Broken]:
    stream = SMALL.rows()[0]
    wrong, order = "impossible section", "impossible order"
    too_large = (2, 0, 1, 257, (1 << 20) + PAGE)
    twice = [(1, 0, 0, 0, 0), (2, 0, 0, 1, 9), (2, 0, 1, 1, 9)]
    before = [(2, 0, 0, 1, PAGE), (1, 0, 1, 1, PAGE)]
    cases: dict[str, tuple[str, str, list[tuple[int, int, int, int, int]]]] = {
        "section-unknown-kind": ("R16", "unknown kind 9", [(9, *stream[1:])]),
        "section-flags": ("R16", "unknown kind", [(1, 1, *stream[2:])]),
        "section-missing": ("R17", "0 kernel streams", []),
        "section-twice": ("R17", "2 kernel streams", [(1, 0, 0, 1, PAGE), (1, 0, 1, 1, PAGE)]),
        "section-first-chunk": ("R18", wrong, [(1, 0, 1, 2, 2 * PAGE)]),
        "section-bytes": ("R18", wrong, [(1, 0, 0, 2, 3 * PAGE)]),
        "section-bytes-absurd": ("R18", wrong, [(1, 0, 0, 2, 1 << 63)]),
        "section-not-whole-pages": ("R18", wrong, [(1, 0, 0, 2, PAGE + 1)]),
        "section-leaves-a-chunk": ("R18", "hold 1 of 2", [(1, 0, 0, 1, PAGE)]),
        "section-before-the-stream": ("R39", f"{order}: [2, 1]", before),
        "section-table-twice": ("R39", f"{order}: [1, 2, 2]", twice),
        "section-empty-table": ("R18", wrong, [stream, (2, 0, 2, 0, 0)]),
        "section-table-too-large": ("R18", wrong, [(1, 0, 0, 1, PAGE), too_large]),
    }
    offsets, checksums = SMALL.offsets(), SMALL.checksums()
    return built(cases, lambda rows: with_index(index(rows, offsets, checksums)))


def _places() -> dict[str, Broken]:
    rows, offsets, checksums = SMALL.rows(), SMALL.offsets(), SMALL.checksums()
    first, second = SMALL.pieces

    def holed(size: int) -> bytes:
        """Return an image with so many bytes before its second chunk, and an index that knows."""
        gap = replace(SMALL, pieces=(first, replace(second, record=bytes(size) + second.record)))
        table = index(rows, [offsets[0], offsets[1] + size], checksums)
        return replace(gap, index=table).build()

    def having(places: list[int]) -> bytes:
        return with_index(index(rows, places, checksums))

    def heading(section: bytes) -> bytes:
        return replace(SMALL, section=section).build()

    size, header = "impossible size", "section header at byte"
    of_table = TABLED.offsets()[2] - PAGE
    hit = flipped(TABLED.build(), of_table + 12)
    return {
        "index-gap": ("R22", "chunk 0 does not fit", holed(PAGE)),
        "index-gap-of-bytes": ("R19", size, holed(9)),
        "index-within-a-page": ("R19", size, having([offsets[0], offsets[1] + 512])),
        "index-first-elsewhere": ("R19", "is at byte 8193", having([8193, offsets[1]])),
        "index-same-place": ("R19", size, having([offsets[0], offsets[0]])),
        "index-beyond-end": ("R19", size, having([offsets[0], 1 << 63])),
        "index-out-of-order": ("R19", "is at byte", having(offsets[::-1])),
        "section-header-checksum": ("R20", f"{header} 4096", flipped(SMALL.build(), PAGE + 20)),
        "section-header-kind": ("R20", f"{header} 4096", heading(forge.section_header(kind=2))),
        "section-header-of-a-table": ("R20", f"{header} {of_table}", hit),
        "section-header-missing": ("R20", f"{header} 4096", heading(bytes(PAGE))),
    }


def _chunks() -> dict[str, Broken]:
    first, second = SMALL.pieces
    payload = lz4_run(b"B", PAGE)
    lz4 = partial(chunk, 1, payload, codec=LZ4)
    one, other = SMALL.checksums()
    wrong_sum = index(SMALL.rows(), SMALL.offsets(), [one, other ^ 1])
    fit, bad_sum = "chunk 1 does not fit", "chunk 1 has a wrong checksum"
    larger = replace(chunk(1, payload, 2 * PAGE, codec=LZ4), raw_size=PAGE)
    hit = replace(second, record=flipped(second.record, 50))
    swapped = replace(SMALL, pieces=(second, first)).build()
    return {
        "chunk-magic": ("R21", "chunk 1 is not where", with_second(lz4(magic=b"TCHX"))),
        "chunks-swapped": ("R22", "chunk 0 does not fit", swapped),
        "chunk-number": ("R22", fit, with_second(chunk(7, payload, codec=LZ4))),
        "chunk-raw-size": ("R22", fit, with_second(larger)),
        "chunk-stored-size": ("R22", fit, with_second(lz4(stored_size=0xFFFF_FFFF))),
        "chunk-stored-nothing": ("R22", fit, with_second(lz4(stored_size=0))),
        "chunk-stored-beyond-chunk-size": ("R22", fit, with_second(chunk(1, noise(PAGE + 1)))),
        "chunk-pages": ("R22", fit, with_second(lz4(behind=bytes(PAGE)))),
        "chunk-checksum": ("R23", bad_sum, with_second(hit)),
        "chunk-of-another-image": ("R23", bad_sum, with_second(lz4(uuid=forge.UUID_B))),
        "chunk-not-the-indexed": ("R23", bad_sum, with_index(wrong_sum)),
    }


def _codecs() -> dict[str, Broken]:
    run_of_b, unknown = lz4_run(b"B", PAGE), "encoded in an unknown way"
    lz4, zstd = partial(chunk, 1, codec=LZ4), partial(chunk, 1, codec=forge.ZSTD)
    too_short = "holds 2048 bytes instead of 4096"
    # Two pages, which decompress to a MiB.
    bomb = (run(0, b"A", 2 * PAGE), chunk(1, lz4_run(b"\0", 4 << 18), 2 * PAGE, codec=LZ4))
    undecodable = {
        "garbage": with_second(lz4(b"\xf3" * 90)),
        "run-of-two": with_second(chunk(1, b"BB", codec=forge.FILL)),
        "zstd-garbage": with_second(zstd(b"\xf3" * 90)),
        "zstd-cut": with_second(zstd(forge.zstd_run(b"B", PAGE)[:-1])),
        "zstd-longer": with_second(zstd(forge.zstd_run(b"B", PAGE) + b"B")),
        "zstd-too-large": with_second(zstd(forge.zstd_run(b"B", 2 * PAGE))),
        "zstd-lies": with_second(zstd(forge.zstd_run(b"B", 2 * PAGE, PAGE))),
        "bomb": replace(LONG, pieces=bomb).build(),
        "too-short": with_second(lz4(lz4_run(b"B", 2048))),
    }
    failed = "chunk 1 cannot be decompressed"
    return {
        "chunk-codec": ("R24", unknown, with_second(chunk(1, run_of_b, codec=4))),
        "chunk-flags": ("R24", unknown, with_second(lz4(run_of_b, flags=1))),
        **{f"chunk-{name}": ("R25", failed, data) for name, data in undecodable.items()},
        "chunk-raw-too-short": ("R25", too_short, with_second(chunk(1, noise(2048)))),
    }


def _tables() -> dict[str, Broken]:
    entry, layered = forge.guard_entry(), forge.guard_entry(layers=b"disk")
    read = "cannot be read"
    no_facts, no_guard, no_types = f"machine facts {read}", f"guard {read}", f"page types {read}"
    cases = {
        "guard-too-few": ("R41", no_guard, 2, guard(entry, count=2)),
        "guard-too-many": ("R41", no_guard, 2, guard(entry, entry, count=1)),
        "guard-absurd-count": ("R41", "more file systems", 2, guard(count=0xFFFF_FFFF)),
        "guard-absurd-text": ("R41", no_guard, 2, guard(entry[:60] + b"\xff\xff" + entry[62:])),
        "guard-cut": ("R41", no_guard, 2, guard(entry)[:-1]),
        "guard-method": ("R42", "unknown kind 99", 2, guard(forge.guard_entry(method=99))),
        "guard-flags": ("R42", "unknown kind", 2, guard(forge.guard_entry(flags=2))),
        "guard-layers-cut": ("R41", no_guard, 2, guard(layered)[:-1]),
        "facts-cut": ("R41", no_facts, 3, FACTS[:-1]),
        "facts-longer": ("R41", no_facts, 3, FACTS + b"\0"),
        "facts-absurd-text": ("R41", no_facts, 3, b"\xff" * 12),
        **{
            f"working-set-{name}": ("R43", message, 4, data)
            for name, (message, data) in _working_sets().items()
        },
        "working-set-flags": ("R44", "unknown flags 0x4", 4, working_set(flags=4)),
        "page-types-cut": ("R43", no_types, 5, PAGE_TYPES[:-1]),
        "page-types-longer": ("R43", no_types, 5, PAGE_TYPES + b"\0"),
    }
    hit = flipped(TABLED.build(), TABLED.offsets()[3] + 60)
    hint = SMALL.with_tables((4, working_set()))
    header = hint.offsets()[2] - PAGE
    headless = flipped(hint.build(), header + 12)
    return {
        name: (rule, message, SMALL.with_tables((kind, data)).build())
        for name, (rule, message, kind, data) in cases.items()
    } | {
        "table-checksum": ("R23", "chunk 3 has a wrong checksum", hit),
        "working-set-header": ("R20", f"section header at byte {header}", headless),
    }


def _working_sets() -> dict[str, tuple[str, bytes]]:
    """Return part of the message and the section of each."""
    unreadable, ends = "working set cannot be read", "ends before its ranges do"
    return {
        "cut": (unreadable, working_set()[:-1]),
        "longer": (unreadable, working_set() + b"\0"),
        "too-many-files": ("claims 4294967295 files", working_set(file_counts=(0xFFFF_FFFF,))),
        "checks": ("another number of checks", working_set(checks=bytes(8))),
        "name-shares-too-much": ("does not fit", working_set(names=b"\x01\x05bin/a")),
        "name-cut": ("does not fit", working_set(names=b"\x00\x05bin/")),
        "name-length": ("no end", working_set(names=b"\x00\xff\xff\xff\x01")),
        "names-of-no-file": ("more names", working_set(names=forge.NAMES + b"\0\0")),
        "ranges-cut": (ends, working_set(ranges=leb(5, 0, 0, 300))),
        "ranges-absurd-count": (ends, working_set(ranges=leb(1 << 60))),
        "ranges-of-no-file": ("of no file", working_set(ranges=leb(0, 0, 0, 0))),
        "ranges-touch": ("impossible range", working_set(ranges=leb(4, 0, 0, 0, 0, 0, 0))),
        "range-too-far": ("impossible range", working_set(ranges=leb(2, 1 << 63, 0, 0, 0))),
        "number-half": ("within a number", working_set(ranges=b"\x80")),
        "number-endless": ("no end", working_set(ranges=b"\xff" * 11)),
        "process-0": ("impossible process", working_set(processes=leb(0, 1, 0))),
        "process-cut": (ends, working_set(processes=leb(1, 17))),
    }
