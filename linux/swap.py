"""Active swap areas: /proc/swaps (mm/swapfile.c, swap_show)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SwapArea:
    """One line of /proc/swaps."""

    path: str
    is_partition: bool
    size: int
    """Bytes."""
    used: int
    """Bytes."""


def parse_swaps(text: str) -> list[SwapArea]:
    r"""Return the active areas in `text`, the contents of /proc/swaps (blanks are \040)."""
    areas = []
    for line in text.splitlines()[1:]:
        name, kind, size, used, _ = line.rsplit(None, 4)
        path = name.replace("\\040", " ").strip()
        areas.append(SwapArea(path, kind == "partition", int(size) * 1024, int(used) * 1024))
    return areas


def active_swaps() -> list[SwapArea]:
    """Return the active swap areas."""
    with open("/proc/swaps", encoding="utf-8", errors="surrogateescape") as file:
        return parse_swaps(file.read())
