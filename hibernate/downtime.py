"""How long the machine stood still, and what it stood still for."""

import time

from linux.kmsg import Log


class Downtime:
    """The time from the first task that is stopped to the last one that goes on.

    Time in which the machine is switched off counts in: the kernel adds it to CLOCK_BOOTTIME by
    the real-time clock, and nobody turns that one (clock_gettime(2)). The restored machine has
    forgotten what was after the snapshot, so that it cannot tell the two apart.
    """

    def __init__(self) -> None:
        self._phases: list[tuple[str, float]] = []
        """Of this time, with their beginnings."""
        self.seconds = 0.0
        """Of all times that have ended."""

    def begin(self) -> None:
        """Tasks are about to be stopped, which is the first phase."""
        self._phases.clear()
        self.phase("stop")

    def phase(self, name: str) -> None:
        """Begin the phase of this name, which ends the one before."""
        self._phases.append((name, _now()))

    def __str__(self) -> str:
        """Return how long it has been so far, in all and by phases."""
        begun = [when for _, when in self._phases]
        ends = [*begun[1:], _now()]
        each = (
            f"{name} {end - start:.1f}"
            for (name, start), end in zip(self._phases, ends, strict=True)
        )
        return f"{ends[-1] - begun[0]:.1f} s: {', '.join(each)}"

    def end(self, log: Log) -> None:
        """All tasks go on."""
        seconds = _now() - self._phases[0][1]
        self.seconds += seconds
        log(f"the machine was frozen for {seconds:.1f} s")


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
