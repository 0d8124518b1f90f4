"""When recording has to end, and a replay, so that no task waits for memory because of it."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from linux.memory import high_watermarks, memory, pressure, scanned

RECORDING = 2.0
"""Seconds that somebody may wait for what is recorded."""
PAGING_OUT = 3.0
"""Seconds that swapping out may take; what is left then the kernel does."""

_SPARE = 16 << 20
"""Bytes that others may take between two looks."""

_MOST_PRESSURE = 10.0
"""Percent of the last ten seconds in which some task waited for memory."""


T = TypeVar("T")


def in_groups(
    items: Iterable[T], weight: Callable[[T], int], most: int, count: int = 1 << 62
) -> Iterator[list[T]]:
    """Yield the items some at a time: what is asked for before it is waited for.

    At most `count` of them, whose weights are `most` together; one alone may be heavier.
    """
    group: list[T] = []
    total = 0
    for item in items:
        if group and (len(group) == count or total + weight(item) > most):
            yield group
            group, total = [], 0
        group.append(item)
        total += weight(item)
    if group:
        yield group


class StoppedError(Exception):
    """The replay ends here; the message says why."""


class Limits:
    """Free memory, memory pressure, and whether somebody has asked for an end."""

    def __init__(self, is_asked: Callable[[], bool]) -> None:
        """`is_asked` says whether there was a signal."""
        self.is_asked = is_asked
        self._least_free = 2 * high_watermarks() + _SPARE
        self._scanned = scanned()

    def check(self, wanted: int = 0) -> None:
        """Raise StoppedError unless so many bytes more can be brought in.

        Reclaim begins at the low watermarks and goes on to the high ones: above these, nothing is
        thrown away or swapped out.
        """
        if self.is_asked():
            raise StoppedError("stopped by a signal")
        if memory()["MemFree"] - wanted < self._least_free:
            raise StoppedError("free memory runs short")
        if self._is_reclaiming() and pressure() > _MOST_PRESSURE:
            raise StoppedError("others wait for memory")

    def _is_reclaiming(self) -> bool:
        """Return whether some task had to reclaim memory itself since this was called last.

        Otherwise pressure means nothing: waiting for pages that are read back counts as pressure,
        too, our own and that of every other task (mm/filemap.c, folio_wait_bit_common).
        """
        before, self._scanned = self._scanned, scanned()
        return self._scanned > before
