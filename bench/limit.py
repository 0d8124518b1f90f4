"""What processor and memory allow: `python -m bench.limit pack STREAM FOLDER | verify IMAGE |
serial STREAM | memcpy STREAM`.

pack and verify: the same chunks through the same codec and checksum, by as many threads, out of
the page cache and into it, which nobody can avoid; without order, tables or other threads. Each
thread writes to a file of its own, without a name in FOLDER, so that none waits for another.

serial: all that is done one chunk after the other, which more processors do not make quicker: an
image without compression, from memory to nowhere. memcpy: the same chunks, copied into one buffer.

Prints what bench/spawn.py prints; the seconds leave out the start of the process and the mapping of
a file.
"""

import ctypes
import mmap
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from uuid import uuid4

from format import layout
from format.checksum import seed
from format.chunks import Decoder, Encoder, Place
from format.codec import address
from format.pipeline import CHUNK_SIZE, THREADS, PageBuffer, prepare_process
from format.reader import ImageReader, new_decoders
from format.records import Identity, Superblock
from format.sink import Wait, at_once
from format.writer import ImageWriter, new_encoders
from store.image import open_image

Work = Callable[[int], object]
"""Does chunk n."""


def main() -> int:
    what, *paths = sys.argv[1:]
    prepare_process()
    run = WHAT[what](*paths)
    begun, processor_begun = time.monotonic(), time.process_time()
    run()
    took, processor = time.monotonic() - begun, time.process_time() - processor_begun
    print(took, processor, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0)
    return 0


def in_parallel(works: Sequence[Work], jobs: int) -> None:
    """Do jobs number 0 to `jobs` - 1, each by the first that is free, a thread for each."""
    numbers = count()

    def take_turns(work: Work) -> None:
        while (number := next(numbers)) < jobs:
            work(number)

    with ThreadPoolExecutor(len(works)) as executor:
        for worker in [executor.submit(take_turns, work) for work in works]:
            worker.result()


def packing(stream: str, folder: str) -> Callable[[], None]:
    """Return what encodes the stream into files."""
    source = os.open(stream, os.O_RDONLY)
    chunks = -(-os.fstat(source).st_size // CHUNK_SIZE)
    first = seed(uuid4())

    def new_work() -> Work:
        encoder = Encoder(CHUNK_SIZE)
        file = os.open(folder, os.O_WRONLY | os.O_TMPFILE)

        def work(number: int) -> None:
            size = os.preadv(source, [encoder.raw.view], number * CHUNK_SIZE)
            os.write(file, encoder.encode(size, number, first).record)

        return work

    return partial(in_parallel, [new_work() for _ in range(THREADS)], chunks)


def verifying(path: str) -> Callable[[], None]:
    """Return what decodes the image.

    The image is one of `torpor pack`: a stream, no tables, and so no gap between chunks.
    """
    with open_image(path) as source:
        image = ImageReader(source)
    file = os.open(path, os.O_RDONLY)
    first = seed(image.superblock.image_uuid)
    offsets, checksums = image.index.offsets, image.index.checksums
    index = layout.index_size(len(image.index.sections), len(offsets))
    ends = [*offsets[1:], image.stored_bytes - layout.TRAILER_SIZE - index]

    def new_work(decoder: Decoder) -> Work:
        def work(number: int) -> None:
            size = ends[number] - offsets[number]
            raw_size = min(CHUNK_SIZE, image.stream_bytes - number * CHUNK_SIZE)
            os.preadv(file, [decoder.record.whole[:size]], offsets[number])
            decoder.decode(size, Place(number, raw_size, checksums[number]), first)

        return work

    works = [new_work(decoder) for decoder in new_decoders(CHUNK_SIZE, THREADS)[:THREADS]]
    return partial(in_parallel, works, len(offsets))


class Nowhere:
    """A format.sink.Sink that drops all."""

    behind = 0
    threads = THREADS

    def write(self, _data: memoryview) -> Wait:
        """See format.sink.Sink."""
        return at_once


def serial(path: str) -> Callable[[], None]:
    """Return what makes an image of the stream in memory, and drops it."""
    stream = _in_memory(path)
    start = address(stream)
    identity = Identity("", "", "", "", bytes(32), "")
    superblock = Superblock(uuid4(), 0, CHUNK_SIZE, identity, platform=False)
    writer = ImageWriter(Nowhere(), superblock, new_encoders(CHUNK_SIZE, "none"))
    done = 0

    def read(buffer: PageBuffer, at: int) -> int:
        nonlocal done
        part = min(len(buffer.view) - at, len(stream) - done)
        ctypes.memmove(address(buffer.view) + at, start + done, part)
        done += part
        return part

    def run() -> None:
        writer.write_stream(read, lambda _done: None)
        writer.finish()

    return run


def copying(path: str) -> Callable[[], None]:
    """Return what copies the stream in memory, chunk by chunk, into one buffer."""
    stream, room = _in_memory(path), PageBuffer(CHUNK_SIZE).view
    start, to = address(stream), address(room)

    def run() -> None:
        for at in range(0, len(stream), CHUNK_SIZE):
            ctypes.memmove(to, start + at, min(len(room), len(stream) - at))

    return run


def _in_memory(path: str) -> memoryview:
    """Map the file with every page there already; writable, as format.codec.address wants it."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_POPULATE
    with open(path, "rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, flags=flags))


WHAT: dict[str, Callable[..., Callable[[], None]]] = {
    "pack": packing,
    "verify": verifying,
    "serial": serial,
    "memcpy": copying,
}

if __name__ == "__main__":
    sys.exit(main())
