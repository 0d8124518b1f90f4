"""Has the memory of processes read from swap, in the order in which it lies there."""

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain

from format.working_set import ProcessMemory, Ranges
from kernel import advice, pagemap, tasks
from kernel.pagemap import PageMap
from kernel.residency import PAGE_SIZE
from workingset.limits import Limits
from workingset.tally import Tally

_GROUP_PAGES = 512
"""Pages that one thread asks for before it waits."""

_PIECE = 1 << 18
"""Pages whose entries are read at a time."""

_UNKNOWN = 1 << 60
"""The place of shared memory: behind all others, since its pages do not say where they are."""


@dataclass(frozen=True, slots=True)
class _Run:
    """Pages of a process that are in swap, one after the other."""

    place: int
    pid: int
    page: int
    count: int


class ProcessReplay:
    """Brings back the memory of the processes that there still are."""

    def __init__(self, limits: Limits, tally: Tally, threads: Executor) -> None:
        self._limits = limits
        self._tally = tally
        self._threads = threads
        self._shared = pagemap.shared_memory_device()

    def replay(self, processes: Sequence[ProcessMemory]) -> None:
        """Bring it back. Raises StoppedError."""
        absent: list[_Run] = []
        for process in processes:
            try:
                absent += self._absent(process)
            except OSError:
                self._tally.skipped_processes += 1
        absent.sort(key=lambda run: run.place)
        for restored in self._threads.map(self._bring_back, _groups(absent)):
            self._tally.process_pages.restored += restored

    def _absent(self, process: ProcessMemory) -> list[_Run]:
        """Return what is in swap of a process, and count what is not.

        Raises OSError if there is no such process any more.
        """
        pid = process.pid
        if tasks.start_of(pid) != process.started:
            raise ProcessLookupError
        found = []
        resident = 0
        with PageMap(pid) as pages:
            for mapping in pagemap.mappings(pid):
                is_shared = mapping.device == self._shared
                start, end = pagemap.page_of(mapping.start), pagemap.page_of(mapping.end)
                for first, count in _overlap(process.ranges, start, end):
                    entries = pages.read(first, count)
                    resident += sum(count for _, count in pagemap.resident(entries, shared=True))
                    found += [
                        _Run(place, pid, first + at, number)
                        for at, number, place in pagemap.swapped(entries)
                    ]
                    if is_shared:
                        found += [
                            _Run(_UNKNOWN, pid, first + at, number)
                            for at, number in pagemap.absent(entries)
                        ]
        self._tally.process_pages.resident += resident
        return found

    def _bring_back(self, group: Sequence[_Run]) -> int:
        """Have the kernel read pages of one process, wait for them; return how many it took."""
        self._limits.check(sum(run.count for run in group) * PAGE_SIZE)
        pid = group[0].pid
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            return 0
        try:
            taken = advice.will_need(
                pidfd, [(run.page * PAGE_SIZE, run.count * PAGE_SIZE) for run in group]
            )
            with suppress(OSError):
                advice.touch(pid, (group[-1].page + group[-1].count - 1) * PAGE_SIZE)
        except OSError:
            return 0  # it has ended, or given the memory back
        finally:
            os.close(pidfd)
        return taken // PAGE_SIZE


def _overlap(ranges: Ranges, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield what of the ranges lies in the pages from `start` to `end`, in pieces."""
    # A range touches the one before it never, so only the last to begin before may reach in.
    for at in range(max(bisect_right(ranges, (start, 0)) - 1, 0), len(ranges)):
        first, count = ranges[at]
        if first >= end:
            return
        low, high = max(first, start), min(first + count, end)
        for piece in range(low, high, _PIECE):
            yield piece, min(_PIECE, high - piece)


def _groups(runs: Sequence[_Run]) -> Iterator[list[_Run]]:
    """Yield runs that are next to each other in swap and of one process, some at a time."""
    group: list[_Run] = []
    pages = 0
    for run in chain.from_iterable(map(_parts, runs)):
        other = group and group[0].pid != run.pid
        if group and (other or pages + run.count > _GROUP_PAGES):
            yield group
            group, pages = [], 0
        group.append(run)
        pages += run.count
    if group:
        yield group


def _parts(run: _Run) -> Iterator[_Run]:
    """Yield a run in parts that are not larger than a group."""
    for at in range(0, run.count, _GROUP_PAGES):
        yield _Run(run.place + at, run.pid, run.page + at, min(_GROUP_PAGES, run.count - at))
