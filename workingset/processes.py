"""What processes use: the files they have open or mapped, and the memory that is their own."""

import os
import time
from collections.abc import Collection, Iterator
from contextlib import suppress

from format.working_set import ProcessMemory
from linux import process_memory, tasks
from linux.memory import memory
from linux.page_cache import Runs, join
from linux.process_memory import Mapping, PageMap

_PIECE = 1 << 18
"""Pages whose entries are read at a time: 2 MiB of them."""

_LARGEST = 16
"""A mapping of more than so many times the memory is a reservation, hardly any of it used."""

_NO_MEMORY = (b"[vvar]", b"[vvar_vclock]", b"[vdso]", b"[vsyscall]")
"""The kernel's own pages, which every process sees."""


class Processes:
    """The current processes, except this one and others that will be gone."""

    def __init__(self, deadline: float, leave_out: Collection[int] = ()) -> None:
        """`deadline` is a time.monotonic() after which nothing more is looked at."""
        self._deadline = deadline
        self._ours = {os.getpid(), *leave_out}
        self._largest = memory()["MemTotal"] * _LARGEST
        self._shared = process_memory.shared_memory_device()

    def is_late(self) -> bool:
        """Return whether the time is up."""
        return time.monotonic() >= self._deadline

    def files(self) -> set[bytes]:
        """Return the paths of what they have open or mapped, as they see it."""
        paths: set[bytes] = set()
        for pid, maps in self._mapped():
            paths |= {mapping.path for mapping in maps if mapping.path.startswith(b"/")}
            with suppress(OSError):
                paths |= {
                    os.fsencode(path) for path in tasks.open_files(pid) if path.startswith("/")
                }
        return paths

    def memory(self) -> Iterator[ProcessMemory]:
        """Yield the processes that have memory of their own."""
        for pid, maps in self._mapped():
            with suppress(OSError):
                if ranges := tuple(self._resident(pid, maps)):
                    yield ProcessMemory(pid, tasks.start_of(pid), ranges)

    def _mapped(self) -> Iterator[tuple[int, list[Mapping]]]:
        """Yield the processes, until the time is up; kernel threads have no memory."""
        for pid in tasks.pids():
            if self.is_late():
                return
            if pid not in self._ours:
                with suppress(OSError):  # it has ended
                    if maps := process_memory.mappings(pid):
                        yield pid, maps

    def _resident(self, pid: int, maps: list[Mapping]) -> Runs:
        """Return the runs of pages in memory that are no file's."""
        found: Runs = []
        with PageMap(pid) as pages:
            for first, count in self._runs(pages, maps):
                join(found, first, count)
        return found

    def _runs(self, pages: PageMap, maps: list[Mapping]) -> Iterator[tuple[int, int]]:
        for mapping in maps:
            if not self._may_be_its_own(mapping):
                continue
            shared = mapping.device == self._shared
            start, end = mapping.pages
            for piece in range(start, end, _PIECE):
                if self.is_late():
                    return
                entries = pages.read(piece, min(_PIECE, end - piece))
                for first, count in process_memory.resident(entries, shared=shared):
                    yield piece + first, count

    def _may_be_its_own(self, mapping: Mapping) -> bool:
        """Return whether memory of the process may be in it, not only a file's or a device's."""
        return (
            mapping.is_accessible
            and (mapping.device == self._shared or not mapping.is_shared)
            and mapping.path not in _NO_MEMORY
            and mapping.end - mapping.start <= self._largest
        )
