"""An image, written in one pass to a sink that cannot seek."""

from array import array
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from errors import DamagedError, TorporError
from format import PAGE_SIZE, codec, layout, records
from format.checksum import seed
from format.chunks import Encoded, Encoder
from format.pipeline import THREADS, PageBuffer, depth, in_order
from format.sink import Sink, at_once

if TYPE_CHECKING:
    from format.sealing import Sealing

ReadStream = Callable[[PageBuffer, int], int]
"""Read into the buffer from this offset on (whole pages unless a pipe gives less), return the
number of bytes, 0 at the end of the stream."""

Fill = Callable[[PageBuffer], int]
"""Fill the buffer, or what there still is of a section; return the bytes in it, 0 at the end."""


def new_encoders(
    chunk_size: int, codec_name: str = codec.DEFAULT, behind: int = 0, threads: int = THREADS
) -> list[Encoder]:
    """Return what an ImageWriter needs: all of its big memory, got beforehand.

    `behind` and `threads` are what the sink says.
    """
    return [Encoder(chunk_size, codec_name) for _ in range(depth(threads) + behind)]


class ImageWriter:
    """Writes one image: the superblock at once, then `write_stream`, the tables, `finish`."""

    def __init__(
        self,
        sink: Sink,
        superblock: records.Superblock,
        encoders: list[Encoder],
        sealing: "Sealing | None" = None,
    ) -> None:
        """Write a sealed image if it says how."""
        self._sink = sink
        self._key = sealing.key if sealing else None
        self._superblock = superblock
        self._idle = deque((encoder, at_once) for encoder in encoders)
        """Those that nobody works with, and how long the sink still does."""
        self._seed = seed(superblock.image_uuid)
        self._sections: list[records.Section] = []
        self._offsets = array("Q")
        self._checksums = array("I")
        self.size = 0
        """Bytes given to the sink so far."""
        self._append(superblock.build(sealing))

    def _take(self) -> Encoder:
        """Return the encoder whose memory was given to the sink first, once it may change."""
        encoder, wait = self._idle.popleft()
        wait()
        return encoder

    def _append(self, record: bytes) -> None:
        """Write a record of whole pages that is no chunk."""
        rest = memoryview(record)
        while rest:
            encoder = self._take()
            part = rest[: len(encoder.raw.whole)]
            encoder.raw.whole[: len(part)] = part
            self._give(encoder, encoder.raw.whole[: len(part)])
            rest = rest[len(part) :]

    def _give(self, encoder: Encoder, pages: memoryview) -> None:
        """Have these pages, in the memory of `encoder`, written."""
        self._idle.append((encoder, self._sink.write(pages)))
        self.size += len(pages)

    def write_stream(
        self, read: ReadStream, progress: Callable[[int], None], *, alone: bool = False
    ) -> int:
        """Write the kernel stream that `read` gives, return its size in bytes.

        It comes before all tables. `progress` is told the bytes of stream written, after each
        chunk; `alone` is for pipeline.in_order. Raises what `read`, the sink or `progress` raises,
        and DamagedError for a stream that is not whole pages.
        """
        fill = partial(_fill, read)
        return self._write_section(records.KERNEL_STREAM, fill, progress, alone=alone)

    def write_table(self, kind: int, data: bytes) -> None:
        """Write a section that is read as a whole: any kind but records.KERNEL_STREAM."""
        if len(data) > records.largest_table(kind):
            raise TorporError(f"section of kind {kind} is too large, {len(data)} bytes")
        rest = memoryview(data)

        def fill(buffer: PageBuffer) -> int:
            nonlocal rest
            part = rest[: len(buffer.view)]
            buffer.view[: len(part)] = part
            rest = rest[len(part) :]
            return len(part)

        self._write_section(kind, fill, lambda _done: None, alone=False)

    def _write_section(
        self, kind: int, fill: Fill, progress: Callable[[int], None], *, alone: bool
    ) -> int:
        """Write what `fill` gives, a chunk each time, and return its size in bytes."""
        first = len(self._offsets)
        self._append(records.Section(kind, first, 0, 0).build_header(self._seed))
        done = 0
        jobs = self._encode_jobs(fill, first)
        with closing(in_order(jobs, self._sink.threads, alone=alone)) as encoded:
            for chunk in encoded:
                if len(self._offsets) == records.MAX_CHUNKS:
                    raise TorporError(f"the stream is longer than an image may be, {done} bytes")
                self._offsets.append(self.size)
                self._checksums.append(chunk.checksum)
                self._give(chunk.encoder, chunk.record)
                done += chunk.raw_size
                progress(done)
        chunk_count = len(self._offsets) - first
        self._sections.append(records.Section(kind, first, chunk_count, done))
        return done

    def _encode_jobs(self, fill: Fill, first: int) -> Iterator[Callable[[], Encoded]]:
        """Yield a job for each chunk, in memory that is used in turn."""
        for number in count(first):
            encoder = self._take()
            if not (size := fill(encoder.raw)):
                self._idle.appendleft((encoder, at_once))
                return
            yield partial(encoder.encode, size, number, self._seed, self._key)

    def finish(self) -> None:
        """Write index and trailer: without them an image is incomplete. All is with the sink."""
        index = records.Index(tuple(self._sections), self._offsets, self._checksums)
        data = index.build(self._superblock.image_uuid, self._key)
        trailer = records.Trailer(
            image_uuid=self._superblock.image_uuid,
            image_size=self.size + len(data) + layout.TRAILER_SIZE,
            index_offset=self.size,
            index_size=len(data),
        )
        self._append(data + trailer.build(self._key))


def _fill(read: ReadStream, buffer: PageBuffer) -> int:
    """Fill the buffer, or what the stream still has; return the bytes in it."""
    filled = 0
    while filled < len(buffer.view) and (got := read(buffer, filled)):
        filled += got
    if filled % PAGE_SIZE:
        raise DamagedError(f"the stream ends {filled % PAGE_SIZE} bytes into a page")
    return filled
