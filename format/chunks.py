"""One chunk: whole pages of the stream, compressed and checked by themselves.

The data path: no construct here (10.7 µs for a record of four fields against 0.16 with struct);
a test holds the struct below equal to layout.ChunkHeader.
"""

import struct
from typing import TYPE_CHECKING, NamedTuple

from errors import DamagedError, UnsupportedError
from format import PAGE_SIZE, codec, layout, whole_pages
from format.checksum import CHECKSUM_SIZE, crc32c
from format.pipeline import PageBuffer

if TYPE_CHECKING:
    from format.sealing import ImageKey

_BARE_HEADER = struct.Struct("<4sBB2xQII20x")
"""A chunk's header before its checksum."""

_BARE_SIZE = _BARE_HEADER.size
_HEADER_SIZE = layout.CHUNK_HEADER_SIZE
_TAG_SIZE = 32
"""Of AEGIS-256: the last bytes of a chunk of a sealed image."""
_ZEROS = bytes(PAGE_SIZE + _TAG_SIZE)


def new_record(chunk_size: int) -> PageBuffer:
    """Return memory for a chunk as an image has it; `view` is for its payload."""
    return PageBuffer(chunk_size, before=_HEADER_SIZE)


class Encoder:
    """The memory of one chunk on its way into an image, `raw` to be filled by who has its bytes.

    Where it is read to, and where it is compressed to, there is room for a header before it and
    for zeros behind it: what goes into the image is written from there.
    """

    def __init__(self, chunk_size: int, codec_name: str = codec.DEFAULT) -> None:
        self.raw = new_record(chunk_size)
        self._packed = new_record(chunk_size)
        self._codec, self._compress = codec.compressor(codec_name, chunk_size)

    def encode(
        self, raw_size: int, number: int, seed: int, key: "ImageKey | None" = None
    ) -> "Encoded":
        """Make chunk `number` of the first `raw_size` bytes of `raw`.

        `seed` is checksum.seed of the image, `key` that of a sealed one. The payload is in `raw`
        itself where no page is gained. Runs outside Python's lock but for a few microseconds.
        """
        behind = _TAG_SIZE if key else 0
        kind, size, buffer = self._pack(self.raw.view[:raw_size], behind)
        end = _HEADER_SIZE + size
        record = buffer.whole[: whole_pages(end + behind)]
        record[end:] = _ZEROS[: len(record) - end]
        bare = _BARE_HEADER.pack(layout.CHUNK_MAGIC, kind, 0, number, raw_size, size)
        if key:
            key.encrypt(number, bare, record[_HEADER_SIZE:])
        checksum = crc32c(record[_HEADER_SIZE:], crc32c(bare, seed))
        record[:_HEADER_SIZE] = bare + checksum.to_bytes(CHECKSUM_SIZE, "little")
        return Encoded(self, raw_size, record, checksum)

    def _pack(self, raw: memoryview, behind: int) -> tuple[int, int, PageBuffer]:
        """Return codec and size of the payload, and where it is; so many bytes come behind it."""
        packed, around = self._packed.view, _HEADER_SIZE + behind
        # With more than that it takes as many pages as it does uncompressed.
        room = whole_pages(around + len(raw)) - PAGE_SIZE - around
        if room > 0:
            if codec.is_fill(raw):
                packed[:1] = raw[:1]
                return codec.FILL, 1, self._packed
            if size := self._compress(raw, packed[:room]):
                return self._codec, size, self._packed
        return codec.NONE, len(raw), self.raw


class Encoded(NamedTuple):
    """A chunk as it goes into an image."""

    encoder: Encoder
    """Whose memory `record` is."""
    raw_size: int
    record: memoryview
    """Header, payload and zeros: whole pages."""
    checksum: int


class Decoded(NamedTuple):
    """The bytes of a chunk, checked; in memory that is used again."""

    view: memoryview
    buffer: PageBuffer
    """Whose beginning they are."""

    @property
    def pages(self) -> list[memoryview]:
        """The bytes page by page."""
        return self.buffer.pages[: len(self.view) // PAGE_SIZE]


class Place(NamedTuple):
    """What the index says of a chunk."""

    number: int
    raw_size: int
    checksum: int
    alignment: int = PAGE_SIZE
    """What its size is a multiple of, in bytes."""


class Decoder(NamedTuple):
    """The memory of one chunk on its way out of an image: as it is stored, and as it was."""

    record: PageBuffer
    raw: PageBuffer

    @classmethod
    def of_size(cls, chunk_size: int) -> "Decoder":
        """Return one for chunks of this size."""
        return cls(new_record(chunk_size), PageBuffer(chunk_size))

    def decode(self, size: int, place: Place, seed: int, key: "ImageKey | None" = None) -> Decoded:
        """Return the bytes of a chunk, which is the first `size` bytes of `record`.

        Where they are stored as they are, they stay there. With the `key` of a sealed image nothing
        is looked at before the tag, and that stands for the checksum. Raises DamagedError, or
        UnsupportedError for an unknown codec.
        """
        record, sealed = self.record.whole[:size], key is not None
        if key and not key.decrypt(place.number, record[:_BARE_SIZE], record[_HEADER_SIZE:]):
            raise DamagedError(f"chunk {place.number} is not what was sealed")
        kind, flags, stored = self._header(record, place, sealed=sealed)
        self._check(record, place, None if key else seed)
        if flags or kind not in (codec.NONE, codec.LZ4, codec.FILL, codec.ZSTD):
            raise UnsupportedError(
                f"chunk {place.number} is encoded in an unknown way ({kind}, {flags})"
            )
        return self._unpack(kind, self.record.view[:stored], place.raw_size, place.number)

    def check_sealed(self, size: int, place: Place, seed: int) -> None:
        """Check what can be checked of a sealed chunk without the key. Raises DamagedError."""
        record = self.record.whole[:size]
        self._header(record, place, sealed=True)
        self._check(record, place, seed)

    def _header(self, record: memoryview, place: Place, *, sealed: bool) -> tuple[int, int, int]:
        """Return codec, flags and stored size, which fits what the index says."""
        number = place.number
        magic, kind, flags, own_number, own_size, stored = _BARE_HEADER.unpack(record[:_BARE_SIZE])
        if magic != layout.CHUNK_MAGIC:
            raise DamagedError(f"chunk {number} is not where the index says")
        taken = _HEADER_SIZE + stored + (_TAG_SIZE if sealed else 0)
        fill = -taken % place.alignment
        fits = 0 < stored <= len(self.record.view) and taken + fill == len(record)
        if own_number != number or own_size != place.raw_size or not fits:
            raise DamagedError(f"chunk {number} does not fit the index")
        return kind, flags, stored

    def _check(self, record: memoryview, place: Place, seed: int | None) -> None:
        """Compare the checksum with the index's and, if there is a seed, with the bytes."""
        own = int.from_bytes(record[_BARE_SIZE:_HEADER_SIZE], "little")
        found = own
        if seed is not None:
            found = crc32c(record[_HEADER_SIZE:], crc32c(record[:_BARE_SIZE], seed))
        if not own == found == place.checksum:
            raise DamagedError(f"chunk {place.number} has a wrong checksum")

    def _unpack(self, kind: int, payload: memoryview, raw_size: int, number: int) -> Decoded:
        if kind == codec.NONE:
            if len(payload) != raw_size:
                raise DamagedError(
                    f"chunk {number} holds {len(payload)} bytes instead of {raw_size}"
                )
            return Decoded(payload, self.record)
        raw = self.raw.view[:raw_size]
        if not codec.decompress(kind, payload, raw):
            raise DamagedError(f"chunk {number} cannot be decompressed")
        return Decoded(raw, self.raw)
