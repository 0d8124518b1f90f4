"""How long nothing runs: what a hibernation costs whoever works at the machine."""

import time

from linux.kmsg import Log


class Downtime:
    """The time from the first task that is stopped to the last one that goes on.

    Time in which the machine is switched off counts in: the kernel adds it to CLOCK_BOOTTIME by
    the real-time clock, and nobody turns that one (clock_gettime(2)). The restored machine has
    forgotten what was after the snapshot, so that it cannot tell the two apart.
    """

    def __init__(self) -> None:
        self._since = 0.0
        self.seconds = 0.0
        """Of all times that have ended."""

    def begin(self) -> None:
        """Tasks are about to be stopped."""
        self._since = time.clock_gettime(time.CLOCK_BOOTTIME)

    def so_far(self) -> float:
        """Return the seconds since it began."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - self._since

    def end(self, log: Log) -> None:
        """All tasks go on."""
        seconds = self.so_far()
        self.seconds += seconds
        log(f"the machine was frozen for {seconds:.1f} s")
