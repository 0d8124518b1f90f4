"""An image, opened through its index and read by several threads; each chunk checked."""

from array import array
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar
from uuid import UUID

from errors import (
    DamagedError,
    ForeignError,
    IncompleteError,
    NoImageError,
    SealedError,
)
from format import PAGE_SIZE, layout, records, whole_pages
from format.checksum import seed
from format.chunks import Decoded, Decoder, Place
from format.first_page import SUPERBLOCK_MAGIC
from format.pipeline import PageBuffer, depth, in_order

if TYPE_CHECKING:
    from format.sealing import ImageKey


class Source(Protocol):
    """What holds an image and nothing else."""

    @property
    def size(self) -> int:
        """Bytes of the source, and so of a complete image."""

    @property
    def image_uuid(self) -> UUID | None:
        """The image that a mark says is here; None for a file, which has no mark."""

    @property
    def key(self) -> "ImageKey | None":
        """The key of a sealed image, where it is there."""

    @property
    def threads(self) -> int:
        """How many may work at what it gives."""

    def read(self, offset: int, size: int, buffer: memoryview) -> memoryview:
        """Return the part of `buffer` that `size` bytes from `offset` were read into.

        From several threads. The buffer is page-aligned and has room for all pages that these
        bytes are in. Raises IncompleteError where the source ends before, UnreadableError for an
        I/O error.
        """

    def reading_ahead(self, begin: int, end: int) -> AbstractContextManager[None]:
        """Expect these bytes to be read in the `with` block, each once, from front to back."""


T = TypeVar("T", bound=records.Table)
R = TypeVar("R")


def new_decoders(chunk_size: int, threads: int, chunks: int = records.MAX_CHUNKS) -> list[Decoder]:
    """Return what an ImageReader needs for so many chunks at most: all of its big memory.

    `threads` is what the source says.
    """
    return [Decoder.of_size(chunk_size) for _ in range(min(chunks, depth(threads)))]


def read_at(source: Source, offset: int, size: int) -> memoryview:
    """Return `size` bytes of the source in memory of their own."""
    return source.read(offset, size, PageBuffer(whole_pages(size) + PAGE_SIZE).view)


class ImageReader:
    """A complete image: superblock, trailer and index are read and checked when it is made.

    `decoders` are those of new_decoders for the image's chunk size; without them each section
    gets memory of its own. With the key of a sealed image nothing is looked at before it is
    authenticated; without it, only the checksums of a sealed image can be checked. Raises
    NoImageError, UnsupportedError, DamagedError, IncompleteError, UnreadableError, and ForeignError
    for a key where the image is not sealed.
    """

    def __init__(self, source: Source, decoders: list[Decoder] | None = None) -> None:
        self._source = source
        self._decoders = decoders
        self.superblock = read_superblock(source)
        self._seed = seed(self.superblock.image_uuid)
        self._trailer = _read_trailer(source, self.superblock)
        self.index = _read_index(source, self.superblock, self._trailer)
        self._ends = _chunk_ends(self.index, self._trailer.index_offset, self.superblock)
        for section in self.index.sections:
            if section.kind not in records.HINTS:
                self._check_header(section)

    @property
    def stream_bytes(self) -> int:
        """Bytes of the kernel stream."""
        return self.index.sections[0].raw_bytes

    @property
    def stored_bytes(self) -> int:
        """Bytes of the image."""
        return self._trailer.image_size

    def chunks(self, *, alone: bool = False) -> Generator[Decoded, None, None]:
        """Yield the kernel stream, chunk by chunk, each one checked before it is seen.

        A chunk's memory is used again for a later one: use it before asking for the next. `alone`
        is for pipeline.in_order.
        """
        self._refuse_locked()
        stream = self.index.sections[0]
        first = self.index.offsets[0] if stream.chunk_count else 0
        end = self._ends[stream.chunk_count - 1] if stream.chunk_count else 0
        with (
            self._source.reading_ahead(first, end),
            closing(self._in_order(self._decode_jobs(stream), alone=alone)) as decoded,
        ):
            yield from decoded

    @property
    def is_locked(self) -> bool:
        """Whether the image is sealed, and its key not there."""
        return self.superblock.seal is not None and self._source.key is None

    def _refuse_locked(self) -> None:
        if self.is_locked:
            raise SealedError("the image is sealed, and its key is not there")

    def check_stored(self) -> Iterator[int]:
        """Check the checksums of all chunks of a sealed image; yield the stored bytes of each."""
        for section in self.index.sections:
            self._check_header(section)
            with closing(self._in_order(self._jobs(section, self._check_sealed))) as sizes:
                yield from sizes

    def stream(self) -> Generator[memoryview, None, None]:
        """Yield what `chunks` does, the bytes alone."""
        with closing(self.chunks()) as chunks:
            for chunk in chunks:
                yield chunk.view

    def read(self, kind: int, table: type[T]) -> T | None:
        """Return the table in the section of this kind, understood; None if the image has none.

        Raises what `table` and the kind's `parse` do.
        """
        data = self.table(kind)
        return None if data is None else table.parse(data)

    def table(self, kind: int) -> bytes | None:
        """Return the whole section of this kind, checked; None if the image has none."""
        for section in self.index.sections:
            if section.kind == kind:
                self._check_header(section)
                self._refuse_locked()
                parts = self._in_order(self._decode_jobs(section))
                return b"".join(bytes(part.view) for part in parts)
        return None

    def _in_order(
        self, jobs: Iterator[Callable[[], R]], *, alone: bool = False
    ) -> Generator[R, None, None]:
        return in_order(jobs, self._source.threads, alone=alone)

    def _decode_jobs(self, section: records.Section) -> Iterator[Callable[[], Decoded]]:
        return self._jobs(section, self._decode)

    def _jobs(
        self, section: records.Section, work: Callable[[Decoder, Place], R]
    ) -> Iterator[Callable[[], R]]:
        chunk_size = self.superblock.chunk_size
        threads = self._source.threads
        decoders = self._decoders or new_decoders(chunk_size, threads, section.chunk_count)
        for nth in range(section.chunk_count):
            raw_size = min(chunk_size, section.raw_bytes - nth * chunk_size)
            number = section.first_chunk + nth
            place = Place(number, raw_size, self.index.checksums[number], self.superblock.alignment)
            yield partial(work, decoders[nth % depth(threads)], place)

    def _decode(self, decoder: Decoder, place: Place) -> Decoded:
        return decoder.decode(self._load(decoder, place), place, self._seed, self._source.key)

    def _check_sealed(self, decoder: Decoder, place: Place) -> int:
        size = self._load(decoder, place)
        decoder.check_sealed(size, place, self._seed)
        return size

    def _load(self, decoder: Decoder, place: Place) -> int:
        """Read the stored chunk into the memory of the decoder; return its size."""
        start = self.index.offsets[place.number]
        size = self._ends[place.number] - start
        if start % PAGE_SIZE:
            decoder.record.whole[:size] = read_at(self._source, start, size)
        else:
            self._source.read(start, size, decoder.record.whole)
        return size

    def _check_header(self, section: records.Section) -> None:
        expected = section.build_header(self._seed, self.superblock.header_size)
        at = layout.SUPERBLOCK_SIZE
        if section is not self.index.sections[0]:
            at = self.index.offsets[section.first_chunk] - len(expected)
        if read_at(self._source, at, len(expected)) != expected:
            raise DamagedError(f"section header at byte {at} is damaged")


def read_superblock(source: Source) -> records.Superblock:
    """Return whose image this is, and of what sizes, sound or not behind that.

    Raises what ImageReader does.
    """
    have = min(source.size, layout.SUPERBLOCK_SIZE)
    data = read_at(source, 0, have)
    if have < layout.SUPERBLOCK_SIZE:
        if data[: len(SUPERBLOCK_MAGIC)] == SUPERBLOCK_MAGIC:
            raise IncompleteError(f"image is cut off at byte {have}, in its superblock")
        raise NoImageError(f"no image: {have} bytes are too few for one")
    superblock = records.Superblock.parse(data)
    if source.key:
        _check_seal(superblock, data, source.key)
    if source.image_uuid not in (None, superblock.image_uuid):
        raise DamagedError(
            f"the mark is of image {source.image_uuid}, what lies here is {superblock.image_uuid}"
        )
    if source.size < layout.SUPERBLOCK_SIZE + superblock.header_size:
        raise IncompleteError(f"image is cut off at byte {source.size}")
    return superblock


def _check_seal(superblock: records.Superblock, data: memoryview, key: "ImageKey") -> None:
    from format.sealing import check_superblock  # libsodium, for sealed images only

    if superblock.seal is None:
        raise ForeignError("the image is not sealed: nothing tells who made it")
    check_superblock(data, key)


def _read_trailer(source: Source, superblock: records.Superblock) -> records.Trailer:
    offset = source.size - layout.TRAILER_SIZE
    data = read_at(source, offset, layout.TRAILER_SIZE)
    trailer = records.Trailer.parse(data, superblock.image_uuid, source.key)
    if trailer is None:
        raise IncompleteError(f"image has no trailer at byte {offset}: cut off, or not at its end")
    if trailer.image_size != source.size:
        raise DamagedError(f"image of {source.size} bytes claims to have {trailer.image_size}")
    index_end = trailer.index_offset + trailer.index_size
    if trailer.index_offset < layout.SUPERBLOCK_SIZE or index_end != offset:
        raise DamagedError(f"trailer names an impossible index at byte {trailer.index_offset}")
    return trailer


def _read_index(
    source: Source, superblock: records.Superblock, trailer: records.Trailer
) -> records.Index:
    largest = layout.index_size(records.MAX_SECTIONS, records.MAX_CHUNKS)
    if not layout.SMALLEST_INDEX <= trailer.index_size <= largest:
        raise DamagedError(f"trailer names an impossible index of {trailer.index_size} bytes")
    data = read_at(source, trailer.index_offset, trailer.index_size)
    return records.Index.parse(data, superblock, source.key)


def _chunk_ends(
    index: records.Index, index_offset: int, superblock: records.Superblock
) -> "array[int]":
    """Return where each chunk ends: where the next thing begins, since there are no gaps."""
    header, alignment = superblock.header_size, superblock.alignment
    bounds = index.offsets + array("Q", [index_offset])
    ends = bounds[1:]
    stream, *tables = index.sections
    first = layout.SUPERBLOCK_SIZE + header * (1 if stream.chunk_count or not tables else 2)
    if bounds[0] != first:
        raise DamagedError(f"the first thing in the section is at byte {bounds[0]}, not {first}")
    for last in (table.first_chunk - 1 for table in tables if table.first_chunk):
        ends[last] = max(ends[last] - header, 0)
    most = layout.CHUNK_HEADER_SIZE + superblock.chunk_size
    most += -most % alignment
    for number, (start, end) in enumerate(zip(index.offsets, ends, strict=True)):
        if not 0 < end - start <= most or (end - start) % alignment:
            raise DamagedError(f"chunk {number} has an impossible size of {end - start} bytes")
    return ends
