"""An image, written in one pass to a sink that cannot seek."""

from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import count
from typing import Protocol

from format import chunks, layout, records
from format.checksum import Buffer
from format.errors import DamagedError, TorporError
from format.pipeline import DEPTH, PageBuffer, in_order


class Sink(Protocol):
    """Where an image goes."""

    def write(self, pieces: Sequence[Buffer]) -> None:
        """Append the pieces. They may change as soon as this returns."""


ReadStream = Callable[[PageBuffer, int], int]
"""Read into the buffer from this offset on (whole pages unless a pipe gives less), return the
number of bytes, 0 at the end of the stream."""


def new_buffers(chunk_size: int) -> list[PageBuffer]:
    """Return the buffers that an ImageWriter needs: all of its big memory, got beforehand."""
    return [PageBuffer(chunk_size) for _ in range(DEPTH)]


class ImageWriter:
    """Writes one image: the superblock at once, then `write_stream`, the tables, `finish`."""

    def __init__(
        self, sink: Sink, superblock: records.Superblock, buffers: list[PageBuffer]
    ) -> None:
        self._sink = sink
        self._superblock = superblock
        self._buffers = buffers
        self._salt = records.salt(superblock.image_uuid)
        self._sections: list[records.Section] = []
        self._offsets = array("Q")
        self._checksums = array("I")
        self.size = 0
        """Bytes given to the sink so far."""
        self._append(superblock.build())

    def _append(self, *pieces: Buffer) -> None:
        self._sink.write(pieces)
        self.size += sum(map(len, pieces))

    def write_stream(self, read: ReadStream, progress: Callable[[int], None]) -> int:
        """Write the kernel stream that `read` gives, return its size in bytes.

        It comes before all tables. `progress` is told the bytes of stream written, after each
        chunk. Raises what `read`, the sink or `progress` raises, and DamagedError for a stream
        that is not whole pages.
        """
        return self._write_section(records.KERNEL_STREAM, self._fill_buffers(read), progress)

    def write_table(self, kind: int, data: bytes) -> None:
        """Write a section that is read as a whole, records.GUARD or records.MACHINE_FACTS."""
        if len(data) > records.MAX_TABLE_SIZE:
            raise TorporError(f"section of kind {kind} is too large, {len(data)} bytes")
        size = self._superblock.chunk_size
        parts = (memoryview(data)[at : at + size] for at in range(0, len(data), size))
        self._write_section(kind, parts, lambda _done: None)

    def _write_section(
        self, kind: int, parts: Iterator[memoryview], progress: Callable[[int], None]
    ) -> int:
        """Write the parts, a chunk each, and return their size in bytes."""
        first = len(self._offsets)
        self._append(records.Section(kind, first, 0, 0).build_header(self._salt))
        done = 0
        jobs = (
            partial(_encode, part, number, self._salt) for number, part in enumerate(parts, first)
        )
        with closing(in_order(jobs)) as encoded:
            for raw_size, (header, payload, checksum) in encoded:
                if len(self._offsets) == records.MAX_CHUNKS:
                    raise TorporError(f"the stream is longer than an image may be, {done} bytes")
                self._offsets.append(self.size)
                self._checksums.append(checksum)
                self._append(header, payload)
                done += raw_size
                progress(done)
        chunk_count = len(self._offsets) - first
        self._sections.append(records.Section(kind, first, chunk_count, done))
        return done

    def _fill_buffers(self, read: ReadStream) -> Iterator[memoryview]:
        """Yield the stream chunk by chunk, in buffers that are used in turn."""
        for number in count():
            buffer = self._buffers[number % DEPTH]
            if not (size := _fill(buffer, read)):
                return
            yield buffer.view[:size]

    def finish(self) -> None:
        """Write index and trailer: without them an image is incomplete."""
        index = records.Index(tuple(self._sections), self._offsets, self._checksums)
        data = index.build(self._superblock.image_uuid)
        trailer = records.Trailer(
            image_uuid=self._superblock.image_uuid,
            image_size=self.size + len(data) + layout.TRAILER_SIZE,
            index_offset=self.size,
            index_size=len(data),
        )
        self._append(data, trailer.build())


def _fill(buffer: PageBuffer, read: ReadStream) -> int:
    """Fill the buffer, or what the stream still has; return the bytes in it."""
    filled = 0
    while filled < len(buffer.view) and (got := read(buffer, filled)):
        filled += got
    if filled % layout.PAGE_SIZE:
        raise DamagedError(f"the stream ends {filled % layout.PAGE_SIZE} bytes into a page")
    return filled


def _encode(raw: memoryview, number: int, salt: int) -> tuple[int, tuple[bytes, Buffer, int]]:
    return len(raw), chunks.encode(raw, number, salt)
