"""The watchdog of last resort: ends a freeze in which nothing gets on.

A device that does not answer any more holds the writer in the kernel, where no signal reaches it:
it can neither undo anything nor be killed. So a thread of the writer lets the machine go on without
it. If the mark may be on the disk, or the kernel itself is stuck, it restarts the machine instead:
the next boot resumes or starts cold. While FREEZE syncs the disks, the watchdog's process does
this, not frozen yet. Should the thread be stuck, too, a signal ends the writer, and the kernel and
the watchdog undo.
"""

import mmap
import signal
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from errors import KernelRefusedError
from linux import power
from linux.kmsg import Log
from linux.memory import reclaimed

_TIME = struct.Struct("=d")
_GIVEN_UP = _TIME.size
"""Where it stands in the shared memory, behind the time of the last progress."""

_LOOKS = 8
"""How often we look within the limit."""


class LastResort:
    """Who hears of all progress while the machine is frozen, and what happens without any."""

    def __init__(self, limit: float, log: Log, is_marking: Callable[[], bool]) -> None:
        """`limit` is in seconds; while `is_marking`, the mark may be on the disk."""
        self._limit = limit
        self._log = log
        self._is_marking = is_marking
        self._shared = mmap.mmap(-1, mmap.PAGESIZE)

    def log(self, line: str) -> None:
        """Log a line, which is progress."""
        self._touch()
        self._log(line)

    def progress(self) -> None:
        """Something has got on. Raises KernelRefusedError if the machine has gone on without us."""
        if self._shared[_GIVEN_UP]:
            raise KernelRefusedError(
                f"nothing has got on for {self._limit:.0f} s, so the machine went on",
                "a device did not answer: see the kernel log, dmesg",
            )
        self._touch()

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Count the time from here to the end of the block."""
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        self._shared[: _TIME.size] = _TIME.pack(time.monotonic())
        try:
            self._touch()
            yield
        finally:
            self._shared[: _TIME.size] = _TIME.pack(0)
            signal.setitimer(signal.ITIMER_REAL, 0)

    @contextmanager
    def guarding(self, let_go: Callable[[], None]) -> Iterator[None]:
        """Have a thread look that something gets on; `let_go` thaws the machine without us.

        To be begun once the tasks are frozen, which spares the thread, and ended before they are
        thawed: the kernel warns of others that it has spared.
        """
        ended = threading.Event()
        thread = threading.Thread(target=self._watch, args=(ended, let_go), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def thaw_early(self, thaw: Callable[[], None]) -> None:
        """Do that if nothing gets on: for the watchdog, before the tasks are frozen."""
        if self._is_stalled() and not self._shared[_GIVEN_UP]:
            self._give_up("the disks do not take what is to be written")
            thaw()

    def _touch(self) -> None:
        if self._since():
            self._shared[: _TIME.size] = _TIME.pack(time.monotonic())
            signal.setitimer(signal.ITIMER_REAL, 2 * self._limit)

    def _since(self) -> float:
        return float(_TIME.unpack_from(self._shared)[0])

    def _is_stalled(self) -> bool:
        since = self._since()
        return bool(since) and time.monotonic() - since > self._limit

    def _watch(self, ended: threading.Event, let_go: Callable[[], None]) -> None:
        before = reclaimed()
        while not ended.wait(self._limit / _LOOKS):
            if not self._is_stalled():
                continue
            if (now := reclaimed()) != before:  # the kernel makes room for the snapshot
                before = now
                self._touch()
                continue
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._give_up("the image is given up")
            if self._is_marking():  # it, too, looks at what we say only after it has said so
                self._restart("the mark may be on the disk")
            try:
                let_go()
            except OSError as error:
                self._restart(f"it cannot be thawed: {error}")
            return

    def _give_up(self, why: str) -> None:
        self._shared[_GIVEN_UP] = 1
        with suppress(OSError):
            self._log(f"nothing has got on for {self._limit:.0f} s: {why}")

    def _restart(self, why: str) -> None:
        with suppress(OSError):
            self._log(f"{why}: the machine restarts")
        power.restart_at_once()
