"""The page cache: which pages of a file are in it, and how many are read ahead.

cachestat(2), Linux 6.5, and mincore(2); mm/readahead.c.
"""

import ctypes
import errno
import mmap
import os
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache

from linux import PAGE_SIZE, proc
from linux.libc import checked, number_of, quick

_CACHESTAT = number_of("cachestat")
# struct cachestat_range and cachestat, include/uapi/linux/mman.h
_RANGE = struct.Struct("=QQ")
_COUNTS = struct.Struct("=5Q")
_MAP_FAILED = ctypes.c_void_p(-1).value
_PIECE = 64 << 20
"""Bytes of a file that are mapped at a time: mincore fills a byte for each page."""
_COUNTED = 2 << 20
"""Bytes that are mapped rather than counted in halves."""

quick.mmap.restype = ctypes.c_void_p
quick.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
quick.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
quick.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]

Runs = list[tuple[int, int]]
"""First page and pages of each run."""


_ONES = re.compile(b"\1+")


class Residency:
    """Asks for one file after another; not from several threads."""

    def __init__(self, is_late: Callable[[], bool] = lambda: False) -> None:
        """`is_late` says whether to stop in the middle of a file, with what was found so far."""
        self._is_late = is_late
        self._counts = ctypes.create_string_buffer(_COUNTS.size)
        self._cached_pages = ctypes.c_uint64.from_buffer(self._counts)
        self._pages = (ctypes.c_ubyte * (_PIECE // PAGE_SIZE))()
        self.has_cachestat = True
        """Whether the kernel has cachestat, as far as is known."""

    def of_file(self, fd: int) -> Runs:
        """Return the runs of pages of the open file that are cached. Raises OSError.

        It takes time for what is cached, not for what the file could hold: a sparse one is large at
        no cost. Where the kernel has no cachestat, nothing is looked for in holes.
        """
        cached = self._cached(fd, 0, 0) if self.has_cachestat else -1
        if cached == 0:
            return []
        size = -(-os.fstat(fd).st_size // PAGE_SIZE) * PAGE_SIZE
        found: Runs = []
        if cached > 0:
            looked_at = self._counted(fd, size)
        else:
            looked_at = self._mapped(fd, 0, size) if 0 < size <= _PIECE else self._data(fd)
        for first, count in looked_at:
            join(found, first, count)
        return found

    def _counted(self, fd: int, size: int) -> Iterator[tuple[int, int]]:
        """Yield runs: a part that is cached in part only is looked at in halves."""
        parts = [(0, size)]
        while parts and not self._is_late():
            start, size = parts.pop()
            cached = max(self._cached(fd, start, size), 0)
            if cached * PAGE_SIZE >= size > 0:
                yield start // PAGE_SIZE, size // PAGE_SIZE
            elif cached and size <= _COUNTED:
                yield from self._mapped(fd, start, size)
            elif cached:
                half = -(-size // 2 // PAGE_SIZE) * PAGE_SIZE
                parts += [(start + half, size - half), (start, half)]

    def _data(self, fd: int) -> Iterator[tuple[int, int]]:
        """Yield runs in the parts of the file that are no holes (lseek(2), SEEK_DATA)."""
        end = 0
        while not self._is_late():
            try:
                start = os.lseek(fd, end, os.SEEK_DATA) // PAGE_SIZE * PAGE_SIZE
                end = os.lseek(fd, start, os.SEEK_HOLE)
            except OSError as error:
                if error.errno == errno.ENXIO:  # a hole up to the end
                    return
                raise
            for piece in range(start, end, _PIECE):
                if self._is_late():
                    return
                yield from self._mapped(fd, piece, min(_PIECE, end - piece))

    def _cached(self, fd: int, start: int, size: int) -> int:
        """Return how many pages there are from `start` on; -1 if the kernel cannot tell.

        A `size` of 0 is all the rest of the file.
        """
        if quick.syscall(_CACHESTAT, fd, _RANGE.pack(start, size), self._counts, 0) == 0:
            return self._cached_pages.value
        if ctypes.get_errno() == errno.ENOSYS:
            self.has_cachestat = False
        return -1

    def _mapped(self, fd: int, start: int, size: int) -> Iterator[tuple[int, int]]:
        address = quick.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, fd, start)
        if address == _MAP_FAILED:
            checked(-1)
        try:
            checked(quick.mincore(address, size, self._pages))
        finally:
            quick.munmap(address, size)
        before = start // PAGE_SIZE
        for first, count in runs(bytes(memoryview(self._pages)[: -(-size // PAGE_SIZE)])):
            yield before + first, count


def runs(flags: bytes) -> Runs:
    """Return the runs of bytes that are 1; all others are 0."""
    return [(ones.start(), len(ones[0])) for ones in _ONES.finditer(flags)]


def join(joined: Runs, first: int, count: int) -> None:
    """Append a run, as part of the last one if it goes on there."""
    if joined and sum(joined[-1]) == first:
        joined[-1] = (joined[-1][0], joined[-1][1] + count)
    else:
        joined.append((first, count))


@cache
def largest_readahead(device: int) -> int:
    """Return how many bytes one POSIX_FADV_WILLNEED reads from a file on the device (st_dev).

    The kernel reads no more for a call than the larger of two limits of the disk
    (mm/readahead.c, force_page_cache_ra). Where they are not known, what all kernels read.
    """
    folder = f"/sys/dev/block/{os.major(device)}:{os.minor(device)}"
    sizes = [128]
    for queue in (f"{folder}/queue", f"{folder}/../queue"):
        for name in ("read_ahead_kb", "max_sectors_kb"):
            with suppress(OSError, ValueError):
                sizes.append(int(proc.read(f"{queue}/{name}")))
    return max(sizes) << 10
