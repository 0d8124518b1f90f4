"""Sound images, in a file, in swap and in a store, and where their records are."""

import hashlib
from dataclasses import dataclass, replace

from tests import forge
from tests.forge import PAGE, Parts, Super, chunk
from tests.vectors import devices
from tests.vectors.images import FACTS, SMALL, noise, run

DISK = noise(1024 + 56) + b"\x53\xef" + noise(46) + forge.UUID_B.bytes + noise(6 * PAGE - 1144)
"""What the guard finds: it looks like ext4, and is sampled, too."""

_EXT = hashlib.sha256(DISK[1024:2048]).digest()
_SAMPLE = hashlib.sha256(DISK).digest()
GUARD = forge.guard(
    forge.guard_entry(fingerprint=_EXT, size=len(DISK)),
    forge.guard_entry(method=6, identity=bytes(16), fingerprint=_SAMPLE, size=len(DISK)),
)


@dataclass(frozen=True, slots=True)
class Places:
    """Where the records of an image begin."""

    sections: tuple[int, ...]
    chunks: tuple[tuple[int, int], ...]
    """With the size of each payload."""
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

    @property
    def is_device(self) -> bool:
        """Whether there are a mark and a map."""
        return bool(self.signature)


def specimens() -> list[Specimen]:
    """Return one of each kind."""
    small, long = _with_tables(SMALL), _with_tables(_LONG)
    image, places = small.build(), _places_of(small)
    return [
        Specimen(image, places),
        Specimen(long.build(), _places_of(long)),
        Specimen(image, places, forge.USER),
        Specimen(image, places, forge.USER, devices.STORE),
    ]


_LONG = Parts(
    Super(chunk_size=2 * PAGE),
    (run(0, b"x", 2 * PAGE), chunk(1, noise(2 * PAGE), 2 * PAGE), run(2, b"y")),
)


def _with_tables(parts: Parts) -> Parts:
    tables = enumerate(((2, GUARD), (3, FACTS)), len(parts.pieces))
    return replace(
        parts, tables=tuple((kind, chunk(nth, data, len(data))) for nth, (kind, data) in tables)
    )


def _places_of(parts: Parts) -> Places:
    pieces = [*parts.pieces, *(piece for _, piece in parts.tables)]
    starts = parts.offsets()
    chunks = tuple(
        (start, len(piece.record) - 48) for start, piece in zip(starts, pieces, strict=True)
    )
    index = starts[-1] + len(pieces[-1].record)
    rows = 1 + len(parts.tables)
    trailer = index + 20 + 24 * rows + 12 * len(pieces)
    sections = (PAGE, *(start - 32 for start in starts[len(parts.pieces) :]))
    return Places(sections, chunks, index, index + 16 + 24 * rows + 8 * len(pieces), trailer)
