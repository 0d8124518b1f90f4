"""What is done to disks, in its order: writes and flushes; and what a boot may do after each.

A disk has a volatile cache. What is written is there for good only after a flush that begins when
the write has ended.
"""

import errno
import fcntl
import os
import pickle
import signal
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

Disks = tuple[bytes, ...]
"""The contents of all disks of a machine."""


@dataclass(frozen=True, slots=True)
class Write:
    disk: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Flush:
    disk: int


@dataclass(frozen=True, slots=True)
class Expect:
    """From here on a boot does one of these: restores an image of that name, or goes COLD."""

    may: frozenset[str]


Event = Write | Flush | Expect


def replay(before: Disks, events: Iterable[Event]) -> Disks:
    """Return the disks after all these writes."""
    disks = [bytearray(disk) for disk in before]
    for event in events:
        if isinstance(event, Write):
            disks[event.disk][event.offset : event.offset + len(event.data)] = event.data
    return tuple(map(bytes, disks))


@dataclass(frozen=True, slots=True)
class Fault:
    """What disks get wrong: a write or flush, counted from 1, is an error."""

    nth: int
    stays: bool = False
    """Whether all later ones are, too."""
    is_done: bool = False
    """Whether a write has reached the disk all the same."""

    def hits(self, call: int) -> bool:
        return call == self.nth or (self.stays and call > self.nth)


class Recorder:
    """Stands for pwritev(2) and fsync(2) in this process and in those that it forks.

    The trace is in memory that they share: the watchdog goes on where its writer was killed.
    """

    def __init__(self, disks: Sequence[Path], patch: pytest.MonkeyPatch) -> None:
        self._disks = {self._identity(os.stat(path)): nth for nth, path in enumerate(disks)}
        self._trace = os.memfd_create("trace")
        fcntl.fcntl(self._trace, fcntl.F_SETFL, os.O_APPEND)
        self._pwritev = os.pwritev
        self._lock = threading.Lock()
        self._in_flight = self._calls = 0
        self.is_off = False
        """Whether the power is off: what still runs here writes nothing."""
        self.kill_after = 0
        """This process is killed after so many writes and flushes, 0: never."""
        self.fault: Fault | None = None
        patch.setattr(os, "pwritev", self._write)
        patch.setattr(os, "fsync", self._flush)
        patch.setattr(os, "sync", lambda: None)

    def close(self) -> None:
        os.close(self._trace)

    def begin(self, fault: "Fault | None" = None) -> None:
        """Forget the trace; the power is on, and the disks have this fault."""
        os.ftruncate(self._trace, 0)
        self.is_off, self.fault, self._calls = False, fault, 0

    def events(self) -> list[Event]:
        """Return the trace."""
        found: list[Event] = []
        with open(f"/proc/self/fd/{self._trace}", "rb") as trace:
            while trace.peek(1):
                found.append(pickle.load(trace))
        return found

    def expected(self) -> frozenset[str]:
        """Return what was expected last."""
        return [event.may for event in self.events() if isinstance(event, Expect)][-1]

    def note(self, event: Event) -> None:
        if not self.is_off:
            os.write(self._trace, pickle.dumps(event))

    @staticmethod
    def _identity(status: os.stat_result) -> tuple[int, int]:
        return status.st_dev, status.st_ino

    def _disk(self, fd: int) -> int | None:
        return self._disks.get(self._identity(os.fstat(fd)))

    def _write(self, fd: int, buffers: Sequence[memoryview], offset: int) -> int:
        disk, data = self._disk(fd), b"".join(map(bytes, buffers))
        if self.is_off:
            return len(data)
        assert disk is not None, "written to a file that is no disk of the machine"
        is_faulty = self._is_faulty()
        if is_faulty and not (self.fault and self.fault.is_done):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        with self._lock:
            self._in_flight += 1
            self.note(Write(disk, offset, data))
        assert self._pwritev(fd, buffers, offset) == len(data)
        with self._lock:
            self._in_flight -= 1
        if is_faulty:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._count()
        return len(data)

    def _flush(self, fd: int) -> None:
        disk = self._disk(fd)
        if disk is None:
            return  # a record on the root
        if not self.is_off and self._is_faulty():
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        with self._lock:
            assert not self._in_flight, "flushed while a write had not ended"
            self.note(Flush(disk))
        self._count()

    def _is_faulty(self) -> bool:
        self._calls += 1
        return self.fault is not None and self.fault.hits(self._calls)

    def _count(self) -> None:
        if self.kill_after:
            self.kill_after -= 1
            if not self.kill_after:
                os.kill(os.getpid(), signal.SIGKILL)
