"""Which pages of a file are in the page cache: cachestat(2), Linux 6.5, and mincore(2)."""

import ctypes
import errno
import mmap
import os
import struct

PAGE_SIZE = mmap.PAGESIZE

_SYS_CACHESTAT = 451
_RANGE = struct.Struct("=QQ")
_COUNTS = struct.Struct("=5Q")
_WHOLE = _RANGE.pack(0, 0)
_MAP_FAILED = ctypes.c_void_p(-1).value
_PIECE = 1 << 30
"""Bytes of a file that are mapped at a time: mincore fills a byte for each page."""
_COUNTED = 2 << 20
"""Bytes that cachestat counts at a time. It takes time for what is cached, mincore for each page
that there could be, and what is cached as a whole or not at all need not be mapped."""

# PyDLL keeps Python's lock: for calls of a microsecond or two, to let go of it costs as much.
_libc = ctypes.PyDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,
]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]

Runs = list[tuple[int, int]]
"""First page and pages of each run."""


class Residency:
    """Asks for one file after another; not from several threads."""

    def __init__(self) -> None:
        self._counts = ctypes.create_string_buffer(_COUNTS.size)
        self._cached_pages = ctypes.c_uint64.from_buffer(self._counts)
        self._pages = (ctypes.c_ubyte * (_PIECE // PAGE_SIZE))()
        self.has_cachestat = True
        """Whether the kernel has cachestat, as far as is known."""

    def of_file(self, fd: int) -> Runs:
        """Return the runs of pages of the open file that are cached. Raises OSError."""
        if self.has_cachestat and self._cached(fd, 0, 0) == 0:
            return []
        size = os.fstat(fd).st_size
        runs: Runs = []
        step = _COUNTED if self.has_cachestat else _PIECE
        for start in range(0, size, step):
            for first, count in self._piece(fd, start, min(step, size - start)):
                _join(runs, start // PAGE_SIZE + first, count)
        return runs

    def _piece(self, fd: int, start: int, size: int) -> Runs:
        """Return the runs in a piece of the file, counted from its beginning."""
        pages = -(-size // PAGE_SIZE)
        if self.has_cachestat:
            cached = self._cached(fd, start, size)
            if cached in (0, pages):
                return [(0, pages)] if cached else []
        return self._mapped(fd, start, size)

    def _cached(self, fd: int, start: int, size: int) -> int:
        """Return how many pages there are from `start` on; -1 if the kernel cannot tell.

        A `size` of 0 is all the rest of the file.
        """
        part = _RANGE.pack(start, size) if start or size else _WHOLE
        if _libc.syscall(_SYS_CACHESTAT, fd, part, self._counts, 0) == 0:
            return self._cached_pages.value
        if ctypes.get_errno() == errno.ENOSYS:
            self.has_cachestat = False
        return -1

    def _mapped(self, fd: int, start: int, size: int) -> Runs:
        address = _libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, fd, start)
        if address == _MAP_FAILED:
            _fail()
        try:
            if _libc.mincore(address, size, self._pages) != 0:
                _fail()
        finally:
            _libc.munmap(address, size)
        return runs(bytes(memoryview(self._pages)[: -(-size // PAGE_SIZE)]))


def runs(flags: bytes) -> Runs:
    """Return the runs of bytes that are 1; all others are 0."""
    found = []
    start = flags.find(1)
    while start >= 0:
        end = flags.find(0, start)
        if end < 0:
            end = len(flags)
        found.append((start, end - start))
        start = flags.find(1, end)
    return found


def _join(joined: Runs, first: int, count: int) -> None:
    """Append a run, as part of the last one if it goes on there."""
    if joined and sum(joined[-1]) == first:
        joined[-1] = (joined[-1][0], joined[-1][1] + count)
    else:
        joined.append((first, count))


def _fail() -> None:
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number))
