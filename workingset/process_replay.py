"""Has the memory of processes read from swap, in the order in which it lies there."""

import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from itertools import chain, islice
from typing import NamedTuple

from format.working_set import ProcessMemory, Ranges, pages_in
from linux import PAGE_SIZE, process_memory, tasks
from linux.process_memory import Mapping, PageMap
from workingset.limits import Limits, in_groups
from workingset.stats import Stats

_WINDOW_PAGES = 512
"""Pages of swap that one thread asks for before it waits."""

_PIECE = 1 << 18
"""Pages whose entries are read at a time."""

_MOST_RUNS = 1 << 17
"""Runs that are put in order together: some 16 MiB of them."""

_SHORT = 8
"""Fewer pages in a row are touched rather than asked for: with a touched page the kernel reads its
neighbours in swap (2^page-cluster), with a page that is asked for none."""

_UNKNOWN = 1 << 60
"""The place of shared memory: behind all others, since its pages do not say where they are."""


class _Run(NamedTuple):
    """Pages of a process that are in swap, one after the other."""

    place: int
    pid: int
    first: int
    pages: int
    is_touched: bool


class ProcessReplay:
    """Brings back the memory of the processes that there still are."""

    def __init__(self, limits: Limits, stats: Stats, threads: Executor) -> None:
        self._limits = limits
        self._stats = stats
        self._threads = threads
        self._shared = process_memory.shared_memory_device()

    def replay(self, processes: Iterable[ProcessMemory]) -> None:
        """Bring it back. Raises StoppedError."""
        absent = self._all_absent(processes)
        while runs := sorted(islice(absent, _MOST_RUNS), key=lambda run: run.place):
            for restored in self._threads.map(self._bring_back, _windows(runs)):
                self._stats.process_pages.restored += restored

    def _all_absent(self, processes: Iterable[ProcessMemory]) -> Iterator[_Run]:
        """Yield what is in swap of all of them, and count those that are gone."""
        for process in processes:
            try:
                yield from self._absent(process)
            except OSError:
                self._stats.skipped_processes += 1

    def _absent(self, process: ProcessMemory) -> Iterator[_Run]:
        """Yield what is in swap of a process, and count what is not.

        Raises OSError if there is no such process any more.
        """
        pid = process.pid
        if tasks.start_of(pid) != process.started:
            raise ProcessLookupError
        with PageMap(pid) as pages:
            for mapping in process_memory.mappings(pid):
                for first, count in _overlap(process.ranges, *mapping.pages):
                    entries = pages.read(first, count)
                    there = process_memory.resident(entries, shared=True)
                    self._stats.process_pages.resident += pages_in(there)
                    yield from self._runs(pid, mapping, first, entries)

    def _runs(self, pid: int, mapping: Mapping, first: int, entries: bytes) -> Iterator[_Run]:
        is_files = mapping.device not in (0, self._shared)
        for at, count, place in process_memory.swapped(entries):
            yield _Run(place, pid, first + at, count, is_files or count < _SHORT)
        if mapping.device == self._shared:
            for at, count in process_memory.absent(entries):
                yield _Run(_UNKNOWN, pid, first + at, count, is_touched=False)

    def _bring_back(self, window: Sequence[_Run]) -> int:
        """Have the kernel read some pages and wait for them; return how many it took."""
        self._limits.check(sum(run.pages for run in window) * PAGE_SIZE)
        restored = 0
        for pid in {run.pid: None for run in window}:
            with suppress(OSError):  # it has ended
                restored += _touch(pid, [r for r in window if r.pid == pid and r.is_touched])
            with suppress(OSError):
                restored += _ask_for(pid, [r for r in window if r.pid == pid and not r.is_touched])
        return restored


def _touch(pid: int, runs: Sequence[_Run]) -> int:
    pages = [page for run in runs for page in range(run.first, run.first + run.pages)]
    return process_memory.touch(pid, [page * PAGE_SIZE for page in pages])


def _ask_for(pid: int, runs: Sequence[_Run]) -> int:
    if not runs:
        return 0
    pidfd = os.pidfd_open(pid)
    try:
        ranges = [(run.first * PAGE_SIZE, run.pages * PAGE_SIZE) for run in runs]
        taken = process_memory.advise(pidfd, ranges, process_memory.WILL_NEED)
        process_memory.touch(pid, [(runs[-1].first + runs[-1].pages - 1) * PAGE_SIZE])
    finally:
        os.close(pidfd)
    return taken // PAGE_SIZE


def _overlap(ranges: Ranges, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield what of the ranges lies in the pages from `start` to `end`, in pieces."""
    # Ranges never touch, so only the last one that begins before may reach in.
    for at in range(max(bisect_right(ranges, (start, 0)) - 1, 0), len(ranges)):
        first, count = ranges[at]
        if first >= end:
            return
        low, high = max(first, start), min(first + count, end)
        for piece in range(low, high, _PIECE):
            yield piece, min(_PIECE, high - piece)


def _windows(runs: Sequence[_Run]) -> Iterator[list[_Run]]:
    """Yield runs that are next to each other in swap, some at a time."""
    parts = chain.from_iterable(map(_parts, runs))
    return in_groups(parts, lambda run: run.pages, _WINDOW_PAGES)


def _parts(run: _Run) -> Iterator[_Run]:
    """Yield a run in parts that are not larger than a window."""
    for at in range(0, run.pages, _WINDOW_PAGES):
        size = min(_WINDOW_PAGES, run.pages - at)
        yield _Run(run.place + at, run.pid, run.first + at, size, run.is_touched)
