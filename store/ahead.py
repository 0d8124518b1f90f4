"""Gets pages of swap in a process of its own, beside what this one does before it needs them."""

import os
import signal
from array import array
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from format.mark import Extents

_SIZE = 8
"""Bytes of the number of runs, which stands before them."""


class Ahead:
    """A process that gets pages, begun at once.

    Until `finish` this one may not use the device: the kernel refuses all but one at a time (EBUSY;
    kernel/power/user.c, snapshot_ioctl). Whatever becomes of it, what it has not got is got later.
    """

    def __init__(self, get: Callable[[Extents], None]) -> None:
        """`get` adds to the runs that it is given, up to its end or an OSError."""
        self._told, telling = os.pipe2(os.O_CLOEXEC)
        self._pid = 0
        with suppress(OSError):  # no memory, or too many processes
            self._pid = os.fork()
            if self._pid == 0:
                os.close(self._told)  # else the end of this process would not end the writing
                _get_and_exit(get, telling)
        os.close(telling)

    def finish(self) -> Extents:
        """Wait for it, and return what it has got: nothing if it has died."""
        with open(self._told, "rb", closefd=False) as pipe:
            told = pipe.read()
        self.close()
        runs, size = Extents(), 8 * int.from_bytes(told[:_SIZE], "little")
        if len(told) == _SIZE + 2 * size:
            runs.starts = array("Q", told[_SIZE : _SIZE + size])
            runs.counts = array("Q", told[_SIZE + size :])
        return runs

    def close(self) -> None:
        """End it, and wait until it is gone; also once more."""
        if self._told < 0:
            return
        os.close(self._told)
        self._told = -1
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)


def _get_and_exit(get: Callable[[Extents], None], telling: int) -> NoReturn:
    try:
        runs = Extents()
        with suppress(OSError):
            get(runs)
        with open(telling, "wb") as pipe:
            pipe.write(len(runs).to_bytes(_SIZE, "little"))
            pipe.write(runs.starts.tobytes())
            pipe.write(runs.counts.tobytes())
    finally:
        os._exit(0)
