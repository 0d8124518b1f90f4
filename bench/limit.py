"""The limit of packing and verifying: `python -m bench.limit encode STREAM | decode IMAGE`.

The same chunks through the same codec and checksum, by as many threads, from memory and to
nowhere: no file, no order, no thread that does anything else. Prints what bench/spawn.py prints;
the seconds leave out the start of the process and the mapping of the file.
"""

import mmap
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from uuid import UUID

from format import chunks, layout, records
from format.checksum import Buffer
from format.pipeline import CHUNK_SIZE, WORKERS, prepare_process
from format.reader import ImageReader
from store.image import open_image


def main() -> int:
    what, path = sys.argv[1:]
    prepare_process()
    job: Callable[[int], object]
    job, jobs = encoding(path) if what == "encode" else decoding(path)
    begun, processor_begun = time.monotonic(), time.process_time()
    work(job, jobs)
    took, processor = time.monotonic() - begun, time.process_time() - processor_begun
    print(took, processor, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0)
    return 0


def work(job: Callable[[int], object], jobs: int) -> None:
    """Do jobs number 0 to `jobs` - 1, each by the first thread that is free."""
    numbers = count()

    def take_turns() -> None:
        while (number := next(numbers)) < jobs:
            job(number)

    with ThreadPoolExecutor(WORKERS) as executor:
        for worker in [executor.submit(take_turns) for _ in range(WORKERS)]:
            worker.result()


def encoding(path: str) -> tuple[Callable[[int], tuple[bytes, Buffer, int]], int]:
    """Return what encodes chunk n of the stream, and how many there are."""
    stream = _in_memory(path)
    salt = records.salt(UUID(int=1))

    def encode(number: int) -> tuple[bytes, Buffer, int]:
        at = number * CHUNK_SIZE
        return chunks.encode(stream[at : at + CHUNK_SIZE], number, salt)

    return encode, -(-len(stream) // CHUNK_SIZE)


def decoding(path: str) -> tuple[Callable[[int], Buffer], int]:
    """Return what decodes chunk n of the image, and how many there are.

    The image is one of `torpor pack`: a stream, no tables, and so no gap between chunks.
    """
    with open_image(path) as source:
        image = ImageReader(source)
    data = _in_memory(path)
    salt = records.salt(image.superblock.image_uuid)
    offsets, checksums = image.index.offsets, image.index.checksums
    index = records.index_size(len(image.index.sections), len(offsets))
    ends = [*offsets[1:], image.stored_bytes - layout.TRAILER_SIZE - index]

    def decode(number: int) -> Buffer:
        raw_size = min(CHUNK_SIZE, image.stream_bytes - number * CHUNK_SIZE)
        record = data[offsets[number] : ends[number]]
        return chunks.decode(record, number, raw_size, checksums[number], salt)

    return decode, len(offsets)


def _in_memory(path: str) -> memoryview:
    """Map the file with every page there already."""
    flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
    with open(path, "rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, flags=flags, prot=mmap.PROT_READ))


if __name__ == "__main__":
    sys.exit(main())
