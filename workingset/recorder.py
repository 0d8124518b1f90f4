"""Records the working set in a process of its own, beside all that a hibernation does first.

That process begins early, and imports what only it needs.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import BinaryIO, NoReturn, Self

from linux.kmsg import Log
from linux.waiting import readable
from state.conf import NO_PATHS, OFF
from workingset.limits import PAGING_OUT, RECORDING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from format.working_set import WorkingSet

MOST_SECONDS = 2 * (RECORDING + PAGING_OUT)
"""Of each wait. Then it is given up: it waits for a disk or a server that does not answer."""

_GO_ON = b"."
_TOLD, _FAILED = b"+", b"-"
"""What a part begins with, before its size."""
_SIZE = 8
"""Bytes of that number."""


def _record(*, with_paths: bool, limit: float, leave_out: list[int]) -> "WorkingSet":
    from workingset.record import record

    return record(with_paths=with_paths, limit=limit, leave_out=leave_out)


class Recorder:
    """A process that records what is in memory, begun at once; a context manager that ends it.

    The memory that it takes is not ours: all of that is locked before the snapshot, and has to fit
    beside it. What goes wrong stops no hibernation: it is logged, and there is no working set.
    """

    def __init__(
        self,
        wish: str,
        image_size: int,
        log: Log,
        *,
        look: "Callable[..., WorkingSet]" = _record,
        limit: float = RECORDING,
        most: float = MOST_SECONDS,
    ) -> None:
        """`wish` is one of WORKING_SETS; a snapshot will have `image_size` bytes at most.

        `look` finds what is in memory, within `limit` seconds of waiting: before that we go on
        about as long as we have until now. Each wait ends after `most` seconds.
        """
        self.section = b""
        """What is recorded, for the image; b"" before `finish`, or if there is nothing."""
        self._log = log
        self._most = most
        self._pid = 0
        if wish != OFF:
            limit += time.process_time()
            look = partial(look, with_paths=wish != NO_PATHS, limit=limit, leave_out=[os.getpid()])
            self._start(_parts(look, image_size))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def finish(self) -> bytes:
        """Wait until all is recorded, and return it as `section`; once more, the same.

        What the snapshot has no room for is swapped out in order from now on.
        """
        if self._pid and not self.section:
            if told := self._next_part("no working set is recorded"):
                words, _, self.section = told.partition(b"\0")
                self._log(f"working set of {words.decode()}")
            with suppress(OSError):
                os.write(self._go_on, _GO_ON)
        return self.section

    def swap_out(self) -> None:
        """Wait until that is done."""
        if self._pid and (words := self._next_part("nothing is swapped out in order")):
            self._log(words.decode())
        self._end()

    def _start(self, parts: Iterator[bytes]) -> None:
        self._told, telling = os.pipe2(os.O_CLOEXEC)
        waiting, self._go_on = os.pipe2(os.O_CLOEXEC)
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._go_on)
            _tell_and_exit(parts, telling, waiting)
        os.close(telling)
        os.close(waiting)
        with suppress(OSError):  # it does so itself, too: who is first
            os.setpgid(self._pid, self._pid)

    def _end(self) -> None:
        """End it with all of its processes, but wait for none: it may wait for a disk for ever."""
        if not self._pid:
            return
        os.close(self._told)
        os.close(self._go_on)
        if os.waitpid(self._pid, os.WNOHANG) == (0, 0):
            os.killpg(self._pid, signal.SIGKILL)
        self._pid = 0

    def _next_part(self, trouble: str) -> bytes:
        """Return what it tells next, b"" for nothing; `trouble` is what to log if that fails."""
        deadline = time.monotonic() + self._most
        try:
            kind = self._read(1, deadline)
            size = int.from_bytes(self._read(_SIZE, deadline), "little")
            part = self._read(size, deadline)
            if kind != _TOLD or len(part) != size:
                raise OSError(part.decode() or "the process that does it has died")
        except OSError as error:
            self._log(f"{trouble}: {error}")
            self._end()
            return b""
        return part

    def _read(self, size: int, deadline: float) -> bytes:
        """Return so many bytes, less if it ends before. Raises TimeoutError."""
        given = bytearray()
        while len(given) < size:
            if not readable(self._told, deadline - time.monotonic()):
                raise TimeoutError(f"it takes more than {self._most:.0f} s")
            if not (part := os.read(self._told, min(size - len(given), 1 << 20))):
                break
            given += part
        return bytes(given)


def _parts(look: "Callable[[], WorkingSet]", image_size: int) -> Iterator[bytes]:
    """Yield the words for a working set and, behind a zero, its section, then other words.

    These are of what was swapped out before, b"" if there was no need.
    """
    from workingset.page_out import page_out, to_page_out
    from workingset.record import fit

    begun = time.monotonic()
    whole, section = fit(look())
    wanted = to_page_out(image_size)
    words = f"{whole} recorded in {time.monotonic() - begun:.1f} s"
    yield words.encode() + b"\0" + section
    if not wanted:
        yield b""
        return
    begun = time.monotonic()
    done = page_out(whole.processes, wanted)
    yield f"{done >> 20} MiB swapped out in order, in {time.monotonic() - begun:.1f} s".encode()


def _tell_and_exit(parts: Iterator[bytes], telling: int, waiting: int) -> NoReturn:
    """Tell each part, and after each wait for the word to go on."""
    try:
        os.setpgid(0, 0)
        with open(telling, "wb") as pipe:
            try:
                for part in parts:
                    _tell(pipe, _TOLD, part)
                    if os.read(waiting, 1) != _GO_ON:
                        break
            except (OSError, ValueError) as error:
                _tell(pipe, _FAILED, str(error).encode(errors="backslashreplace"))
    finally:
        os._exit(0)


def _tell(pipe: BinaryIO, kind: bytes, part: bytes) -> None:
    pipe.write(kind + len(part).to_bytes(_SIZE, "little") + part)
    pipe.flush()
