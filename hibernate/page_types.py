"""Says about what a snapshot consists of, by a sample of it.

The stream begins with a page of struct swsusp_info (kernel/power/power.h), then pages full of the
frame numbers of what follows (kernel/power/snapshot.c, snapshot_read_next). While they pass, only
some are kept. All is frozen by then: what /proc/kpageflags says of a frame after the stream, it
would have said before.
"""

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate

from format.tables import PageTypes
from linux import PAGE_SIZE, memory
from linux.memory import PageFlags

_IMAGE_PAGES, _PAGES = slice(416, 424), slice(424, 432)
"""Where swsusp_info has the pages of data, and all pages of the stream."""

_FRAME = (1 << 63) - 1
"""The rest is a flag: a page of zeros, which is not in the stream (005e8dddd497, Linux 6.8)."""
_END = (1 << 64) - 1
"""Behind the last number; zeros follow."""

_RUN = 8
"""Numbers that are kept from one place: mostly neighbours, whose flags take one read."""
_RUN_SIZE = _RUN * 8
_RUNS = 256
"""Places at most, all over the numbers: they tell a share to some 3 %."""

_SPAN = 1 << 8
"""Frames whose flags are read at once, the unwanted between the wanted too."""
_LARGEST = 1 << 10
"""Pages of the largest compound page (MAX_PAGE_ORDER), which begins at a multiple of its size."""

_CACHE, _ANON, _SLAB, _KERNEL, _OTHER = range(5)
"""The fields of PageTypes, in order."""

_OTHERS = memory.BUDDY | memory.NO_PAGE | memory.OFFLINE | memory.HUGE


class PageTypeCounter:
    """Sees the stream go by; never fails: at worst there is no count."""

    def __init__(self) -> None:
        """Get all memory that it takes."""
        self._flags: PageFlags | None = None
        self.trouble = ""
        """Why there is no count."""
        try:
            self._flags = PageFlags()
        except OSError as error:
            self.trouble = f"{memory.PAGE_FLAGS} cannot be read: {error.strerror}"
        self._runs = memoryview(bytearray(_RUNS * _RUN_SIZE))
        self._kept = 0
        self._every = 0
        """One run of so many is kept; 0 before the first page."""
        self._at = 0
        """Bytes of the stream that have been seen."""
        self._next = self._end = PAGE_SIZE
        """Bytes of the stream before the next run to keep, and before the end of the numbers."""

    def close(self) -> None:
        """Look no more."""
        if self._flags:
            self._flags.close()
            self._flags = None

    def see(self, part: memoryview) -> None:
        """Look at the next part of the stream, whole pages. Makes no system call."""
        if not self._every:
            self._begin(part)
        while self._next < min(self._end, self._at + len(part)):
            start = self._next - self._at
            self._runs[self._kept : self._kept + _RUN_SIZE] = part[start : start + _RUN_SIZE]
            self._kept += _RUN_SIZE
            self._next += self._every * _RUN_SIZE
        self._at += len(part)

    def _begin(self, part: memoryview) -> None:
        """Choose what to keep, by the stream's first page.

        Of an odd number of runs one: not each time the same place in a block of memory.
        """
        data, pages = (int.from_bytes(part[where], "little") for where in (_IMAGE_PAGES, _PAGES))
        numbers = (pages - data - 1) * PAGE_SIZE
        self._every = -(-numbers // (_RUNS * _RUN_SIZE)) | 1
        if 0 < numbers <= pages * PAGE_SIZE:
            self._end += numbers
        else:
            self.trouble = "the stream does not begin as the kernel's does"

    def result(self) -> PageTypes | None:
        """Look the frames up; return the counts, None if the stream or the kernel did not say."""
        if self._flags is None or self.trouble or not PAGE_SIZE < self._end <= self._at:
            return None
        try:
            found = self._count(self._flags)
        except (OSError, ValueError) as error:
            self.trouble = str(error)
            return None
        counts = [found[kind] * self._every for kind in range(_OTHER + 1)]
        return PageTypes(*counts, *[found.total()])

    def _count(self, flags: PageFlags) -> Counter[int]:
        found: Counter[int] = Counter()
        for at in range(0, self._kept, _RUN_SIZE):
            for frames in _near(_frames(array("Q", bytes(self._runs[at : at + _RUN_SIZE])))):
                found.update(_kinds(flags, frames))
        return found


def _frames(numbers: "array[int]") -> list[int]:
    """Return the page frames of a run, in order; none of what follows the last one."""
    if _END in numbers:
        numbers = numbers[: numbers.index(_END)]
    elif numbers[-1] == 0:  # page frame 0 could only be the first
        return []
    return sorted(number & _FRAME for number in numbers)


def _near(frames: list[int]) -> Iterator[list[int]]:
    """Yield the frames, which are in order, in parts that lie in one span of memory."""
    start = 0
    while start < len(frames):
        end = bisect_left(frames, frames[start] + _SPAN, start)
        yield frames[start:end]
        start = end


def _kinds(flags: PageFlags, frames: list[int]) -> list[int]:
    """Return the type of each of these frames of one span. Raises OSError, ValueError."""
    first = frames[0]
    values = _read(flags, first, frames[-1])
    if _kind(values[0]) is None:
        first -= first % _LARGEST
        values = _read(flags, first, frames[-1])
    kinds = [*accumulate(map(_kind, values), _of_head, initial=_KERNEL)]
    return [kinds[1 + frame - first] for frame in frames]


def _read(flags: PageFlags, first: int, last: int) -> "array[int]":
    found = flags.read(first, last - first + 1)
    if len(found) <= last - first:
        raise ValueError(f"{memory.PAGE_FLAGS} ends before page frame {last}")
    return found


def _of_head(before: int, own: int | None) -> int:
    """Return the type of a page, given that of the one before."""
    return before if own is None else own


def _kind(value: int) -> int | None:
    """Return the type of a page with these flags; None: that of the page before, its head."""
    if value & (memory.ANON | memory.SWAP_BACKED):
        return _ANON
    if value & memory.SLAB:
        return _SLAB
    if value & memory.LRU:
        return _CACHE
    if value & _OTHERS:
        return _OTHER
    return None if value & memory.COMPOUND_TAIL else _KERNEL
