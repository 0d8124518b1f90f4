"""/proc/kpageflags: what the kernel uses each page of memory for.

Documentation/admin-guide/mm/pagemap.rst, include/uapi/linux/kernel-page-flags.h.
"""

import os
from array import array

PATH = "/proc/kpageflags"

LRU = 1 << 5
SLAB = 1 << 7
BUDDY = 1 << 10
ANON = 1 << 12
SWAP_BACKED = 1 << 14
COMPOUND_TAIL = 1 << 16
HUGE = 1 << 17
NO_PAGE = 1 << 20
OFFLINE = 1 << 23

_ENTRY_SIZE = 8


class PageFlags:
    """The open file. Raises OSError where the kernel has none, or lets nobody read it."""

    def __init__(self) -> None:
        self._fd = os.open(PATH, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Close it."""
        os.close(self._fd)

    def read(self, first: int, count: int) -> "array[int]":
        """Return the flags of so many pages from page frame `first` on; less where memory ends."""
        return array("Q", os.pread(self._fd, count * _ENTRY_SIZE, first * _ENTRY_SIZE))
