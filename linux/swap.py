"""Active swap areas: /proc/swaps (mm/swapfile.c, swap_show)."""

import os
from contextlib import suppress
from dataclasses import dataclass

from linux.proc import lines, unescaped
from linux.root import HOST, Root


@dataclass(frozen=True, slots=True)
class SwapArea:
    """One line of /proc/swaps."""

    path: str
    """With " (deleted)" behind where the file was deleted (fs/d_path.c): no file is called so."""
    is_partition: bool
    size: int
    """Bytes."""
    used: int
    """Bytes."""


def parse_swaps(text: str) -> list[SwapArea]:
    """Return the active areas in `text`, the contents of /proc/swaps.

    A line that cannot be understood is left out.
    """
    areas = []
    for line in lines(text)[1:]:
        with suppress(ValueError):
            areas.append(_area(line))
    return areas


def _area(line: str) -> SwapArea:
    """Return what a line says. Raises ValueError."""
    name, _, rest = line.partition(" ")
    kind, size, used, _ = rest.split()
    return SwapArea(unescaped(name), kind == "partition", int(size) * 1024, int(used) * 1024)


def active_swaps(root: Root = HOST) -> list[SwapArea]:
    """Return the active swap areas."""
    return parse_swaps(os.fsdecode(root.data("/proc/swaps") or b""))
