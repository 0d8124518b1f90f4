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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from errors import KernelRefusedError
from linux import power
from linux.kmsg import Log
from linux.memory import reclaimed
from linux.stall import LOOKS, Quiet

_COUNT = struct.Struct("=Q")
_ARMED, _GIVEN_UP = _COUNT.size, _COUNT.size + 1
"""Where they stand in the shared memory, behind the count of all progress."""


class LastResort:
    """Who hears of all progress while the machine is frozen, and what happens without any."""

    def __init__(self, limit: float, log: Log, is_marking: Callable[[], bool]) -> None:
        """`limit` is in seconds; while `is_marking`, the mark may be on the disk."""
        self._limit = limit
        self._log = log
        self._is_marking = is_marking
        self._shared = mmap.mmap(-1, mmap.PAGESIZE)
        self._early = Quiet()

    def log(self, line: str) -> None:
        """Log a line, which is progress."""
        self._count()
        self._log(line)

    def progress(self) -> None:
        """Something has got on. Raises KernelRefusedError if the machine has gone on without us."""
        if self._shared[_GIVEN_UP]:
            raise KernelRefusedError(
                f"nothing has got on for {self._limit:.0f} s, so the machine went on",
                "a device did not answer: see the kernel log, dmesg",
            )
        self._count()

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Want progress from here to the end of the block."""
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        self._shared[_ARMED] = 1
        self._end_writer_later()
        try:
            yield
        finally:
            self._shared[_ARMED] = 0
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
        """Do that if nothing gets on: asked each second, by the watchdog until it is frozen."""
        is_wanted = self._shared[_ARMED] and not self._shared[_GIVEN_UP]
        if self._early.look(self._counted()) >= self._limit and is_wanted:
            self._give_up("the disks do not take what is to be written")
            with suppress(OSError):
                thaw()

    def _count(self) -> None:
        self._shared[: _COUNT.size] = _COUNT.pack(self._counted() + 1)

    def _counted(self) -> int:
        return int(_COUNT.unpack_from(self._shared)[0])

    def _end_writer_later(self) -> None:
        """Have the signal come if nobody puts it off again."""
        signal.setitimer(signal.ITIMER_REAL, 2 * self._limit)

    def _watch(self, ended: threading.Event, let_go: Callable[[], None]) -> None:
        quiet = Quiet()
        while not ended.wait(self._limit / LOOKS):
            # To make room for the snapshot takes the kernel as long as it takes.
            looks = quiet.look((self._counted(), reclaimed()))
            if not looks:
                self._end_writer_later()
            if looks < LOOKS:
                continue
            self._give_up("the image is given up")
            if self._is_marking():  # it, too, looks at what we say only after it has said so
                self._restart("the mark may be on the disk")
            try:
                let_go()
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody else would end this
                self._restart(f"it cannot be thawed: {error}")
            signal.setitimer(signal.ITIMER_REAL, 0)
            return

    def _give_up(self, why: str) -> None:
        self._shared[_GIVEN_UP] = 1
        with suppress(OSError):
            self._log(f"nothing has got on for {self._limit:.0f} s: {why}")

    def _restart(self, why: str) -> None:
        with suppress(OSError):
            self._log(f"{why}: the machine restarts")
        power.restart_at_once()
