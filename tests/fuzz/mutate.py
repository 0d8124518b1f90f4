"""Sound images, in a file, in swap and in a store, changed at random; some of them sealed.

The same number makes the same change.
"""

from dataclasses import dataclass, replace
from random import Random
from uuid import UUID

import lz4.block

from tests import forge, forge_sealed
from tests.forge import PAGE, Parts, Piece, Super, chunk, working_set
from tests.forge_sealed import Key, to_key
from tests.fuzz import tags
from tests.fuzz.disks import GUARD, SMALL_GUARD
from tests.vectors import sealed
from tests.vectors.devices import MAP, STORE
from tests.vectors.images import FACTS, LONG, PAGE_TYPES, SMALL, TABLES, noise, run

PAGES = 16
RUNS = ((9, 6), (1, 3), (5, 3))
"""A device, and where an image lies on it."""

MANY = 1 << 10
"""Files and processes of a large working set."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the records of an image begin."""

    sections: tuple[int, ...]
    chunks: tuple[tuple[int, int], ...]
    """With the size of what is behind its header."""
    index: int
    checksums: int
    """The column in the index."""
    trailer: int


@dataclass(frozen=True, slots=True)
class Specimen:
    """An image; `start` and `signature` of the first page where it is in swap or a store."""

    image: bytes
    places: Places
    signature: bytes = b""
    start: bytes = b""
    is_sealed: bool = False

    @property
    def is_device(self) -> bool:
        """Whether there are a mark and a map."""
        return bool(self.signature)


def large_working_set() -> bytes:
    """Return one whose numbers repeat: a change of one makes many of another."""
    return forge.working_set(
        file_counts=(MANY - 3, 3),
        names=b"\0\1n" + b"\1\0" * (MANY - 4) + bytes(6),
        checks=bytes(4 * MANY),
        ranges=b"\3\0\0" * MANY,
        processes=b"\1\1\2\1\0\1\0" * MANY,
    )


def _large() -> Parts:
    """Return an image whose tables are compressed, each to a few bytes."""
    first = chunk(0, b"l", 16 * PAGE, codec=forge.FILL)
    tables = (
        (2, chunk(1, GUARD, len(GUARD))),
        (3, chunk(2, FACTS, len(FACTS))),
        (4, _compressed(3, large_working_set())),
        (5, chunk(4, PAGE_TYPES, len(PAGE_TYPES))),
    )
    return Parts(Super(chunk_size=16 * PAGE), (first,), tables)


def _compressed(number: int, data: bytes) -> Piece:
    payload = lz4.block.compress(data, store_size=False)
    return chunk(number, payload, len(data), codec=forge.LZ4)


SEALED_SUPER = forge_sealed.SealedSuper(
    seed=forge_sealed.SEED,
    recipients=b"".join((sealed.UNKNOWN, forge_sealed.to_key_file(), to_key())),
)
SEAL = 2 + len(SEALED_SUPER.recipients)
"""Bytes of the recipients and their size."""

FULL = Parts(
    Super(),
    (
        run(0, b"A"),
        chunk(1, b"B", codec=forge.FILL),
        chunk(2, noise(PAGE)),
        chunk(3, forge.zstd_run(b"z", PAGE), codec=forge.ZSTD),
    ),
)
"""Every codec."""


def specimens() -> list[Specimen]:
    """Return one of each kind."""
    few, tables = [(2, SMALL_GUARD), (3, FACTS)], [(2, GUARD), (3, FACTS)]
    tables += [(4, working_set()), (5, PAGE_TYPES)]
    small, long, full = (
        parts.with_tables(*some) for parts, some in ((SMALL, few), (LONG, few), (FULL, tables))
    )
    image, places = small.build(), _places_of(small)
    guarded = SMALL.with_tables((2, GUARD), (3, FACTS))
    return [
        *(Specimen(parts.build(), _places_of(parts)) for parts in (small, long, full, _large())),
        Specimen(image, places, forge.USER),
        Specimen(image, places, forge.USER, STORE),
        Specimen(guarded.build(), _places_of(guarded), forge.USER),
        *_sealed_specimens(),
    ]


def _sealed_specimens() -> list[Specimen]:
    full = forge_sealed.with_tables(sealed.SMALL, *TABLES, (4, working_set()))
    few = [(2, SMALL_GUARD), (3, FACTS)]
    file, device = (
        replace(parts, superblock=SEALED_SUPER)
        for parts in (full, forge_sealed.with_tables(sealed.SMALL, *few))
    )
    image, places = device.build(), _places_of(device)
    return [
        Specimen(file.build(), _places_of(file), is_sealed=True),
        Specimen(image, places, forge.USER, is_sealed=True),
        Specimen(image, places, forge.USER, STORE, is_sealed=True),
    ]


def _places_of(parts: Parts) -> Places:
    pieces, starts = parts.chunks(), parts.offsets()
    chunks = tuple(
        (start, len(piece.record) - 48) for start, piece in zip(starts, pieces, strict=True)
    )
    index = starts[-1] + len(pieces[-1].record)
    rows = 1 + len(parts.tables)
    trailer = len(parts.build()) - forge.TRAILER
    sections = (PAGE, *(start - PAGE for start in starts[len(parts.pieces) :]))
    return Places(sections, chunks, index, index + 16 + 24 * rows + 8 * len(pieces), trailer)


SUMMED = 0.7
"""Share of the cases whose checksums are right again."""

TAGGED = 0.6
"""Share of the sealed ones among these whose tags are, too, and the signature."""

WRECKED = 0.15
"""Share of the cases that lose, gain or mix up bytes besides."""

COPIED = 0.1
"""Share of the changes that repeat what is there."""

_VALUES = (0, 1, 2, 3, 4, 7, 20, 64, 253, 254, 255, 4095, PAGE, PAGE + 1, 1 << 16, 1 << 18)
_LARGE = (1 << 20, (1 << 20) + 1, 4 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 63)

_HEADS = {"superblock": 364, "section": 32, "chunk": 48, "mark": 72}
"""How much of a record holds fields."""


@dataclass(slots=True)
class Target:
    """Bytes to be hit."""

    data: bytearray
    start: int
    size: int


def case(number: int, kinds: list[Specimen]) -> tuple[bytes, Specimen]:
    """Return a changed specimen, as the bytes of a file, and which one it was."""
    random = Random(number)
    specimen = random.choice(kinds)
    image = bytearray(specimen.image)
    header = RUNS[0][0] if specimen.is_sealed else 0
    mark = bytearray(forge.mark(len(image), MAP, len(RUNS), header_page=header))
    table = bytearray(forge.map_page(RUNS))
    targets = _in_image(image, specimen.places)
    if specimen.is_sealed:
        targets += [Target(image, 364, 50), Target(image, 412, 14), Target(image, 412, SEAL)] * 2
    if specimen.is_device:
        targets += [Target(mark, 0, _HEADS["mark"]), Target(mark, 10, 2), Target(mark, 60, 4)] * 3
        targets += [Target(table, 0, 24), Target(table, 24, 24), Target(table, 2048, 24)] * 2
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        _hit(random.choice(targets), random)
    if random.random() < SUMMED:
        is_tagged = specimen.is_sealed and random.random() < TAGGED
        if is_tagged:
            _tag_all(image, specimen, mark, table)
        _sum_image(image, specimen.places, tags.key_of(image) if is_tagged else None)
        _sum(mark, 0, len(mark), UUID(bytes=bytes(mark[16:32])))
        _sum(table, 0, PAGE, UUID(bytes=bytes(mark[16:32])))
    whole = _device(specimen, image, mark, table) if specimen.is_device else image
    if random.random() < WRECKED:
        _wreck(whole, random)
    return bytes(whole), specimen


def _in_image(image: bytearray, places: Places) -> list[Target]:
    chunks = [Target(image, start, _HEADS["chunk"]) for start, _ in places.chunks]
    payloads = [Target(image, start + 48, _stored(image, start)) for start, _ in places.chunks]
    index = places.checksums + 4 * len(places.chunks) - places.index
    return [
        *[Target(image, 0, _HEADS["superblock"])] * 3,
        *(Target(image, start, _HEADS["section"]) for start in places.sections),
        *chunks,
        *payloads[: 1 - len(places.sections)],
        *payloads[1 - len(places.sections) :] * 4,
        *[Target(image, places.index, index)] * 8,
        *[Target(image, places.trailer, forge.TRAILER)] * 3,
    ]


def _stored(image: bytearray, start: int) -> int:
    """Return the size of the payload of the chunk that begins there."""
    return int.from_bytes(image[start + 20 : start + 24], "little")


def _hit(target: Target, random: Random) -> None:
    """Write a number, or one near the number that is there, into some field or none."""
    if random.random() < COPIED:
        _copy(target, random)
        return
    width = min(random.choice((1, 2, 4, 4, 8, 8)), target.size)
    at = target.start + random.randrange(target.size - width + 1)
    if random.random() < 0.8:
        at -= (at - target.start) % width
    end = at + width
    old = int.from_bytes(target.data[at:end], "little")
    value = random.choice(
        (
            random.choice(_VALUES),
            random.choice(_LARGE),
            -1,
            -random.choice(_VALUES),
            old + random.choice((-PAGE, -8, -1, 1, 8, PAGE)),
            old ^ 1 << random.randrange(width * 8),
            random.getrandbits(width * 8),
        )
    )
    target.data[at:end] = (value % (1 << width * 8)).to_bytes(width, "little")


def _copy(target: Target, random: Random) -> None:
    """Repeat some bytes in place of others."""
    size = random.randint(1, target.size)
    begin, at = (target.start + random.randrange(target.size - size + 1) for _ in range(2))
    target.data[at : at + size] = target.data[begin : begin + size]


def working_set_case(number: int) -> bytes:
    """Return a changed file with a working set."""
    random = Random(number)
    section = bytearray(random.choice((working_set(), large_working_set())))
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        _hit(Target(section, 0, min(len(section), random.choice((64, len(section))))), random)
    file = bytearray(forge.working_set_file(bytes(section)))
    if random.random() < WRECKED:
        _wreck(file, random)
    return bytes(file)


def _tag_all(image: bytearray, specimen: Specimen, mark: bytearray, table: bytearray) -> None:
    """Put right every tag but the index's, and the signature: as if that had been sealed so."""
    places, key = specimen.places, tags.key_of(image)
    tags.tag_superblock(image)
    for number, (start, size) in enumerate(places.chunks):
        tags.encrypt_again(image, specimen.image, number, start, size)
    tags.tag(image, places.trailer, forge.TRAILER, key)
    tags.tag(mark, 0, len(mark), key)
    tags.tag(table, 0, PAGE, key)


def _sum(data: bytearray, start: int, size: int, uuid: UUID) -> None:
    end = start + size
    data[start:end] = forge.sealed(uuid, bytes(data[start : end - 4]))


def _sum_image(image: bytearray, places: Places, key: Key | None) -> None:
    """Put right every checksum, as if the writer had meant what is there now.

    With a key the tag of the index, too, which has the checksums.
    """
    uuid = UUID(bytes=bytes(image[32:48]))
    _sum(image, 0, PAGE, uuid)
    for start in places.sections:
        _sum(image, start, PAGE, uuid)
    for number, (start, size) in enumerate(places.chunks):
        payload = bytes(image[start + 48 : start + 48 + size])
        checksum = forge.sealed(uuid, bytes(image[start : start + 44]), payload)[-4:]
        column = places.checksums + 4 * number
        image[start + 44 : start + 48] = image[column : column + 4] = checksum
    if key:
        tags.tag(image, places.index, places.trailer - places.index, key)
    _sum(image, places.index, places.trailer - places.index, uuid)
    _sum(image, places.trailer, forge.TRAILER, uuid)


def _device(specimen: Specimen, image: bytearray, mark: bytearray, table: bytearray) -> bytearray:
    first = forge.header_page(
        PAGES, bytes(mark), start=specimen.start, signature=specimen.signature
    )
    return bytearray(forge.device(PAGES, first, {MAP: bytes(table)}, bytes(image), RUNS))


def _wreck(data: bytearray, random: Random) -> None:
    """Cut the end off, put bytes behind it, move some, or write over some."""
    at, size = random.randrange(len(data)), random.choice((1, 8, 512, PAGE))
    what = random.randrange(5)
    if what == 0:
        del data[at:]
    elif what == 1:
        data += random.randbytes(size)
    elif what == 2:
        del data[at : at + size]
    elif what == 3:
        data[at:at] = random.randbytes(size)
    else:
        data[at : at + size] = random.randbytes(len(data[at : at + size]))
