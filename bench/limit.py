"""The limit of packing and verifying: `python -m bench.limit encode STREAM | decode IMAGE`.

The same chunks through the same codec and checksum, by as many threads, from memory and to
nowhere: no file, no order, no other thread. Prints what bench/spawn.py prints;
the seconds leave out the start of the process and the mapping of the file.
"""

import mmap
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TypeVar

from format import chunks, codec, layout
from format.checksum import crc32c, seed
from format.pipeline import CHUNK_SIZE, THREADS, PageBuffer, prepare_process
from format.reader import ImageReader
from store.image import open_image

T = TypeVar("T")

NewJob = Callable[[], Callable[[int], T]]
"""Return what one thread does with chunk n, with memory of its own."""


def main() -> int:
    what, path = sys.argv[1:]
    prepare_process()
    new_job: NewJob[object]
    new_job, jobs = encoding(path) if what == "encode" else decoding(path)
    begun, processor_begun = time.monotonic(), time.process_time()
    work(new_job, jobs)
    took, processor = time.monotonic() - begun, time.process_time() - processor_begun
    print(took, processor, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0)
    return 0


def work(new_job: NewJob[object], jobs: int) -> None:
    """Do jobs number 0 to `jobs` - 1, each by the first thread that is free."""
    numbers = count()

    def take_turns(job: Callable[[int], object]) -> None:
        while (number := next(numbers)) < jobs:
            job(number)

    with ThreadPoolExecutor(THREADS) as executor:
        for worker in [executor.submit(take_turns, new_job()) for _ in range(THREADS)]:
            worker.result()


def encoding(path: str) -> tuple[NewJob[int], int]:
    """Return what encodes chunk n of the stream, to so many bytes, and the number of chunks."""
    stream = _in_memory(path)

    def new_job() -> Callable[[int], int]:
        _, compress = codec.compressor(codec.DEFAULT, CHUNK_SIZE)
        room = PageBuffer(CHUNK_SIZE).view

        def encode(number: int) -> int:
            raw = stream[number * CHUNK_SIZE : (number + 1) * CHUNK_SIZE]
            if codec.is_fill(raw):
                return 1
            size = compress(raw, room[: len(raw) - 1])
            crc32c(room[:size] if size else raw)
            return size or len(raw)

        return encode

    return new_job, -(-len(stream) // CHUNK_SIZE)


def decoding(path: str) -> tuple[NewJob[memoryview], int]:
    """Return what decodes chunk n of the image, and how many there are.

    The image is one of `torpor pack`: a stream, no tables, and so no gap between chunks.
    """
    with open_image(path) as source:
        image = ImageReader(source)
    data = _in_memory(path)
    first = seed(image.superblock.image_uuid)
    offsets, checksums = image.index.offsets, image.index.checksums
    index = layout.index_size(len(image.index.sections), len(offsets))
    ends = [*offsets[1:], image.stored_bytes - layout.TRAILER_SIZE - index]

    def new_job() -> Callable[[int], memoryview]:
        decoder = chunks.Decoder.of_size(CHUNK_SIZE)

        def decode(number: int) -> memoryview:
            raw_size = min(CHUNK_SIZE, image.stream_bytes - number * CHUNK_SIZE)
            record = data[offsets[number] : ends[number]]
            decoder.record.whole[: len(record)] = record
            return decoder.decode(len(record), number, raw_size, checksums[number], first).view

        return decode

    return new_job, len(offsets)


def _in_memory(path: str) -> memoryview:
    """Map the file with every page there already; writable, as the codecs want theirs."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_POPULATE
    with open(path, "rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, flags=flags))


if __name__ == "__main__":
    sys.exit(main())
