"""Has memory of processes swapped out in the order of their addresses, before a snapshot.

The kernel swaps out in the order of last use: neighbours in memory then lie far apart in swap, and
each page is read back by a request of its own. Written in the order of addresses, they come back
together, for a replay and for the kernel.
"""

import os
import time
from collections.abc import Collection, Iterator
from contextlib import suppress

from format.working_set import ProcessMemory, Ranges, pages_in
from linux import PAGE_SIZE, tasks
from linux.memory import excess, memory
from linux.process_memory import MOST_RANGES, PAGE_OUT, advise
from workingset.limits import PAGING_OUT, in_groups

_FURTHER = 128 << 20
"""Bytes of swap that are written beyond what has to go: the kernel throws out that much more than
it has to (docs/PERFORMANCE.md). What it leaves in memory need not be read again."""

_LEAST_PAGES = 256
"""Of a process; less is not worth the trouble."""

_BATCH_PAGES = 2048
"""Pages asked for at a time, so that the end of the time is seen."""


def to_page_out(image_size: int) -> int:
    """Return how many bytes of processes a snapshot of at most `image_size` bytes has no room for.

    Caches go first. 0 where there is no swap to take it.
    """
    sizes = memory()
    too_much = excess(sizes, image_size)
    if not too_much:
        return 0
    caches = sizes["Active(file)"] + sizes["Inactive(file)"]
    wanted = too_much - caches + min(_FURTHER, sizes["SwapFree"] // 4)
    return max(min(wanted, sizes["SwapFree"] // 2), 0)


def page_out(processes: Collection[ProcessMemory], wanted: int) -> int:
    """Have so many bytes swapped out, of each process its share; return how many were asked for."""
    deadline = time.monotonic() + PAGING_OUT
    total = sum(pages_in(process.ranges) for process in processes)
    done = 0
    for process in processes:
        pages = pages_in(process.ranges)
        share = min(wanted // PAGE_SIZE * pages // total, pages)
        if share >= _LEAST_PAGES:
            with suppress(OSError):  # it has ended
                done += _page_out(process, share, deadline)
    return done * PAGE_SIZE


def _page_out(process: ProcessMemory, share: int, deadline: float) -> int:
    if tasks.start_of(process.pid) != process.started:
        return 0
    pidfd = os.pidfd_open(process.pid)
    done = 0
    try:
        parts = _first(process.ranges, share)
        for batch in in_groups(parts, lambda part: part[1], _BATCH_PAGES, MOST_RANGES):
            if time.monotonic() >= deadline:
                break
            ranges = [(page * PAGE_SIZE, count * PAGE_SIZE) for page, count in batch]
            with suppress(OSError):  # part of it is no longer mapped
                done += advise(pidfd, ranges, PAGE_OUT) // PAGE_SIZE
    finally:
        os.close(pidfd)
    return done


def _first(ranges: Ranges, most: int) -> Iterator[tuple[int, int]]:
    """Yield the first `most` pages of the ranges, in parts that are not larger than a batch."""
    for first, pages in ranges:
        end = first + min(pages, most)
        most -= end - first
        for at in range(first, end, _BATCH_PAGES):
            yield at, min(_BATCH_PAGES, end - at)
