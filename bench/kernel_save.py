"""A stand-in for the kernel's own save: `python -m bench.kernel_save STREAM FOLDER THREADS`.

What save_compressed_image does (kernel/power/swap.c, 6.12), with liblzo2 for lib/lzo and zlib for
its crc32_le, natively, since an emulated processor distorts both ways of saving:

- One thread fills a unit of 32 pages for each of the threads that compress, and starts each as soon
  as its unit is full; one more takes the checksum of the batch as it was. Then the first waits for
  each in turn, copies the pages of its result out and writes them. The next batch begins when
  the checksum is done, too.
- As many threads compress as there are processors but one, at least 1, at most 3.

What differs: the stream comes by read() from the page cache of a tmpfs, which copies page by page,
instead of a memcpy for each page; the image goes by write() into a tmpfs, which takes a page
and copies into it for each of them, as write_page does, but there are no pages of swap to be got,
no map of them and no requests to a device; all of these take the kernel longer. Each thread is
a process, woken through a pipe: in one process they would wait for Python's lock. Of some 350 µs of
processor that a unit takes, Python has 25, in three processes.

The image has no name in FOLDER. Prints what bench/spawn.py prints; the seconds are those from the
first read to the last write.
"""

import ctypes
import mmap
import os
import resource
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from typing import NoReturn

from format import PAGE_SIZE
from format.codec import address

UNIT_SIZE = 32 * PAGE_SIZE
"""UNC_SIZE."""
WORK_SIZE = 16384 * 8
"""LZO1X_1_MEM_COMPRESS where a pointer has eight bytes (lzo1x.h)."""
MOST_THREADS = 3
"""CMP_THREADS."""
HEADER_SIZE = 8
"""Bytes for the length of what is compressed, in front of it (CMP_HEADER)."""
ROOM_SIZE = -(-(UNIT_SIZE + UNIT_SIZE // 16 + 64 + 3 + HEADER_SIZE) // PAGE_SIZE) * PAGE_SIZE
"""CMP_SIZE: whole pages for the largest result (lzo1x_worst_compress)."""

_lzo = ctypes.CDLL("liblzo2.so.2")
_compress = _lzo.lzo1x_1_compress
_compress.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_void_p] * 3]
"""Source, its size, room, where its size goes, memory to work with."""


def main() -> int:
    stream, folder, threads = sys.argv[1:]
    source = os.open(stream, os.O_RDONLY)
    file = os.open(folder, os.O_WRONLY | os.O_TMPFILE)
    save = Save(int(threads))
    begun = time.monotonic()
    save.run(source, file)
    took = time.monotonic() - begun
    save.end()
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    processor = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    print(took, processor, usages[0].ru_maxrss, 0)
    return 0


def threads_for(processors: int) -> int:
    """Return how many threads of the kernel compress on so many processors."""
    return max(1, min(processors - 1, MOST_THREADS))


def _serve(told: int, say: int, work: Callable[[], object]) -> NoReturn:
    try:
        while os.read(told, 1):
            work()
            os.write(say, b"d")
    finally:
        os._exit(0)


class Helper:
    """A process that does the same thing each time it is started, as a thread of the kernel.

    It ends with the one that has begun it, at the latest.
    """

    def __init__(self, work: Callable[[], object]) -> None:
        told, self._tell = os.pipe()
        self._hear, say = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._tell)
            _serve(told, say, work)
        os.close(told)
        os.close(say)

    def start(self) -> None:
        os.write(self._tell, b"g")

    def wait(self) -> None:
        """Wait until what was started is done."""
        if not os.read(self._hear, 1):
            raise ChildProcessError(f"process {self._pid} has failed")

    def end(self) -> None:
        """Have the process end. Those begun later have to have ended before: they hold its pipe."""
        os.close(self._tell)
        os.waitpid(self._pid, 0)


class Unit:
    """The memory that is shared with who compresses it (struct cmp_data), and its process."""

    def __init__(self) -> None:
        self.raw = memoryview(mmap.mmap(-1, UNIT_SIZE))
        self.raw_size = memoryview(mmap.mmap(-1, PAGE_SIZE)).cast("Q")
        self._room = memoryview(mmap.mmap(-1, ROOM_SIZE))
        self._size = self._room[:HEADER_SIZE].cast("Q")
        self._work = memoryview(mmap.mmap(-1, WORK_SIZE))
        self.helper = Helper(self._compress)

    def _compress(self) -> None:
        room, work = address(self._room), address(self._work)
        _compress(address(self.raw), self.raw_size[0], room + HEADER_SIZE, room, work)

    def fill(self, source: int) -> int:
        """Read the next pages; return their size, 0 at the end of the stream."""
        self.raw_size[0] = os.readv(source, [self.raw])
        return self.raw_size[0]

    def result(self) -> memoryview:
        """Return the length of what came of it and that itself, up to the end of its last page."""
        return self._room[: -(-(HEADER_SIZE + self._size[0]) // PAGE_SIZE) * PAGE_SIZE]


class Save:
    """The threads of one save."""

    def __init__(self, threads: int) -> None:
        self._units = [Unit() for _ in range(threads)]
        self._checksum = memoryview(mmap.mmap(-1, PAGE_SIZE)).cast("I")
        self._checker = Helper(self._check)
        self._pages = memoryview(mmap.mmap(-1, ROOM_SIZE))

    @property
    def checksum(self) -> int:
        """The CRC-32 of what was read."""
        return self._checksum[0]

    def _check(self) -> None:
        for unit in self._units:
            self._checksum[0] = zlib.crc32(unit.raw[: unit.raw_size[0]], self._checksum[0])

    def run(self, source: int, file: int) -> None:
        """Read the stream, write the image."""
        while started := self._start_batch(source):
            self._checker.start()
            for unit in started:
                unit.helper.wait()
                self._write(unit.result(), file)
            self._checker.wait()

    def _start_batch(self, source: int) -> Sequence[Unit]:
        started = []
        for unit in self._units:
            if unit.fill(source):
                unit.helper.start()
                started.append(unit)
        return started

    def _write(self, result: memoryview, file: int) -> None:
        ctypes.memmove(address(self._pages), address(result), len(result))
        os.write(file, self._pages[: len(result)])

    def end(self) -> None:
        """End the threads."""
        for helper in (self._checker, *(unit.helper for unit in reversed(self._units))):
            helper.end()


if __name__ == "__main__":
    sys.exit(main())
