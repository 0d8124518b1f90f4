"""A small process that undoes what outlives the writer, if the writer dies.

When the writer is killed the kernel closes /dev/snapshot and thaws the tasks. But a mark stays on
the disk, file systems stay frozen until somebody says FITHAW, and cgroups until somebody writes 0.
The watchdog is frozen with all other tasks, wakes up with them, sees that the writer is gone, and
does that.
"""

import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from typing import Self

from hibernate.signals import STOPPING
from linux.waiting import readable

_ALL_WELL = b"."
_LOOK = 1.0


class Watchdog:
    """Watches over the writer from here to the end of the `with` block."""

    def __init__(
        self,
        *rescue: Callable[[], None],
        meanwhile: Callable[[], None] = lambda: None,
        let_go: Callable[[], None] = lambda: None,
    ) -> None:
        """`rescue` is what to do, in this order; if one fails, the others are done all the same.

        `meanwhile` is done each second while the writer lives and the watchdog is not frozen.
        `let_go` closes there what only the writer may hold open; that is done when this returns.
        """
        self._read_end, self._write_end = os.pipe()
        has_let_go, letting_go = os.pipe()
        # For good in the watchdog: systemd sends SIGTERM to what a dead service leaves behind.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        self._pid = os.fork()
        if self._pid == 0:
            self._watch(rescue, meanwhile, let_go, letting_go)
        os.close(letting_go)
        os.read(has_let_go, 1)  # its end
        os.close(has_let_go)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._write_end, _ALL_WELL)
        os.waitpid(self._pid, 0)
        os.close(self._write_end)
        os.close(self._read_end)

    def _watch(
        self,
        rescue: tuple[Callable[[], None], ...],
        meanwhile: Callable[[], None],
        let_go: Callable[[], None],
        letting_go: int,
    ) -> None:
        """Wait for the writer's word or its end; never returns."""
        try:
            let_go()
            os.close(letting_go)
            os.setsid()  # a key that kills the terminal's foreground processes is not for us
            os.close(self._write_end)
            while not readable(self._read_end, _LOOK):
                meanwhile()
            if os.read(self._read_end, 1) != _ALL_WELL:
                with ExitStack() as last_to_first:
                    for step in reversed(rescue):
                        last_to_first.callback(step)
        finally:
            os._exit(0)
