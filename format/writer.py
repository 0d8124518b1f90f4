"""An image, written in one pass to a sink that cannot seek."""

from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
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
    """Writes one image: the superblock at once, then `write_stream`, then `finish`."""

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

        `progress` is told the bytes of stream written, after each chunk. Raises what `read`,
        the sink or `progress` raises, and DamagedError for a stream that is not whole pages.
        """
        first = len(self._offsets)
        section = records.Section(records.KERNEL_STREAM, first, 0, 0)
        self._append(section.build_header(self._salt))
        done = 0
        with closing(in_order(self._encode_jobs(read))) as encoded:
            for raw_size, (header, payload, checksum) in encoded:
                if len(self._offsets) == records.MAX_CHUNKS:
                    raise TorporError(f"the stream is longer than an image may be, {done} bytes")
                self._offsets.append(self.size)
                self._checksums.append(checksum)
                self._append(header, payload)
                done += raw_size
                progress(done)
        count = len(self._offsets) - first
        self._sections.append(records.Section(records.KERNEL_STREAM, first, count, done))
        return done

    def _encode_jobs(
        self, read: ReadStream
    ) -> Iterator[Callable[[], tuple[int, tuple[bytes, Buffer, int]]]]:
        number = len(self._offsets)
        while size := _fill(buffer := self._buffers[number % DEPTH], read):
            yield partial(_encode, buffer.view[:size], number, self._salt)
            number += 1

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
