"""Counts what a snapshot consists of, while it passes on its way into the image.

The stream begins with a page of struct swsusp_info (kernel/power/power.h), then pages full of the
frame numbers of what follows (kernel/power/snapshot.c, snapshot_read_next). All is frozen by then:
what /proc/kpageflags says of a frame now, it would have said before.
"""

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from format.tables import PageTypes
from linux import PAGE_SIZE, memory
from linux.memory import PageFlags

_IMAGE_PAGES, _PAGES = slice(416, 424), slice(424, 432)
"""Where swsusp_info has the pages of data, and all pages of the stream."""

_FRAME = (1 << 63) - 1
"""The rest is a flag: a page of zeros, which is not in the stream (005e8dddd497, Linux 6.8)."""
_END = (1 << 64) - 1
"""Behind the last number; zeros follow."""

_SPAN = 1 << 14
"""Frames whose flags are read at once, the unwanted between the wanted too."""

_CACHE, _ANON, _SLAB, _KERNEL, _OTHER = range(5)
"""The fields of PageTypes, in order."""

_OTHERS = memory.BUDDY | memory.NO_PAGE | memory.OFFLINE | memory.HUGE


class PageTypeCounter:
    """Sees the stream go by; never fails: at worst there is no count."""

    def __init__(self) -> None:
        self._flags: PageFlags | None = None
        self.trouble = ""
        """Why there is no count."""
        try:
            self._flags = PageFlags()
        except OSError as error:
            self.trouble = f"{memory.PAGE_FLAGS} cannot be read: {error.strerror}"
        self._left: int | None = None
        self._pages: Counter[int] = Counter()
        self._head = _KERNEL

    def close(self) -> None:
        """Look no more."""
        if self._flags:
            self._flags.close()
            self._flags = None

    def see(self, part: memoryview) -> None:
        """Look at the next part of the stream, whole pages."""
        if self._flags is None or self._left == 0:
            return
        try:
            self._look(self._flags, part)
        except (OSError, ValueError) as error:
            self.trouble = str(error)
            self.close()

    def _look(self, flags: PageFlags, part: memoryview) -> None:
        at = 0
        if self._left is None:
            info = bytes(part[:PAGE_SIZE])
            data, pages = (
                int.from_bytes(info[where], "little") for where in (_IMAGE_PAGES, _PAGES)
            )
            self._left = pages - data - 1
            at = PAGE_SIZE
            if not 0 < self._left <= pages:
                raise ValueError("the stream does not begin as the kernel's does")
        end = min(len(part), at + self._left * PAGE_SIZE)
        self._left -= (end - at) // PAGE_SIZE
        for page in range(at, end, PAGE_SIZE):
            self._count(flags, array("Q", bytes(part[page : page + PAGE_SIZE])))

    def _count(self, flags: PageFlags, frames: "array[int]") -> None:
        """Count the frames of one page of numbers, which are mostly in order, without gaps."""
        wanted: Sequence[int] = frames
        if max(frames) > _FRAME:
            used = frames.index(_END) if _END in frames else len(frames)
            wanted = sorted(frame & _FRAME for frame in frames[:used])
        for some in _near(wanted):
            first, span = some[0], some[-1] - some[0] + 1
            found = flags.read(first, span)
            if len(found) != span:
                raise ValueError(f"{memory.PAGE_FLAGS} ends before page frame {some[-1]}")
            self._add(found if span == len(some) else [found[frame - first] for frame in some])

    def _add(self, found: Iterable[int]) -> None:
        for value, same in groupby(found):
            kind = _kind(value)
            if kind is None:
                kind = self._head
            self._head = kind
            self._pages[kind] += sum(1 for _ in same)

    def result(self) -> PageTypes | None:
        """Return the counts; None if the stream or the kernel did not say."""
        if self._flags is None or self._left != 0:
            return None
        return PageTypes(*(self._pages[kind] for kind in range(_OTHER + 1)))


def _near(frames: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield the frames, which are in order, in parts that lie in one span of memory."""
    start = 0
    while start < len(frames):
        end = bisect_left(frames, frames[start] + _SPAN, start)
        yield frames[start:end]
        start = end


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
