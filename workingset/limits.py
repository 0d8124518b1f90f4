"""When a replay has to stop: nobody is to wait for memory because of it."""

import re
from collections.abc import Callable
from contextlib import suppress

from kernel.memory import memory

_HIGH = re.compile(r"^\s+high\s+(\d+)$", re.MULTILINE)
_SOME = re.compile(r"^some avg10=([\d.]+)", re.MULTILINE)

_PAGE = 4096
_SPARE = 16 << 20
"""Bytes that others may take between two looks."""

_MOST_PRESSURE = 10.0
"""Percent of the last ten seconds in which some task waited for memory (PSI)."""

_SCARCE = 8
"""Pressure counts once less than one in so many pages is free: what a replay reads again counts as
pressure, too (mm/filemap.c, folio_wait_bit_common), and with much free it is no other."""


class StoppedError(Exception):
    """The replay ends here; the message says why."""


class Limits:
    """Free memory, memory pressure, and whether somebody has asked for an end."""

    def __init__(self, is_asked: Callable[[], bool]) -> None:
        """`is_asked` says whether there was a signal."""
        self._is_asked = is_asked
        self._least_free = 2 * _high_watermarks() + _SPARE

    def check(self, wanted: int = 0) -> None:
        """Raise StoppedError unless so many bytes more can be brought in.

        Reclaim begins at the low watermarks and goes on to the high ones: to stay away from these
        is never to have anything thrown away or swapped out.
        """
        if self._is_asked():
            raise StoppedError("stopped by a signal")
        sizes = memory()
        if sizes["MemFree"] - wanted < self._least_free:
            raise StoppedError("free memory runs short")
        if sizes["MemFree"] < sizes["MemTotal"] // _SCARCE and _pressure() > _MOST_PRESSURE:
            raise StoppedError("others wait for memory")


def _high_watermarks() -> int:
    """Return the bytes free at which the kernel stops to reclaim, of all zones (proc(5))."""
    with open("/proc/zoneinfo", encoding="ascii") as file:
        return sum(int(pages) for pages in _HIGH.findall(file.read())) * _PAGE


def _pressure() -> float:
    """Return the share of the last ten seconds (Documentation/accounting/psi.rst); 0 if unknown."""
    with suppress(OSError), open("/proc/pressure/memory", encoding="ascii") as file:
        if found := _SOME.search(file.read()):
            return float(found[1])
    return 0.0
