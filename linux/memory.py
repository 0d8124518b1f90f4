"""How much memory there is, how scarce it is (proc(5)), and what its pages are used for."""

import os
import re
from array import array
from contextlib import suppress

from linux import PAGE_SIZE, proc
from linux.open_file import OpenFile
from linux.proc import lines
from linux.root import HOST, Root

PAGE_FLAGS = "/proc/kpageflags"
# Bits of an entry there: include/uapi/linux/kernel-page-flags.h.
LRU = 1 << 5
SLAB = 1 << 7
BUDDY = 1 << 10
ANON = 1 << 12
SWAP_BACKED = 1 << 14
COMPOUND_TAIL = 1 << 16
HUGE = 1 << 17
NO_PAGE = 1 << 20
OFFLINE = 1 << 23
_ENTRY_SIZE = 8

_HIGH = re.compile(r"^\s+high\s+(\d+)$", re.MULTILINE)
_SOME = re.compile(r"^some avg10=([\d.]+)", re.MULTILINE)
_RECLAIMED = re.compile(r"^pgsteal_\w+ (\d+)$", re.MULTILINE)
_SCANNED = re.compile(r"^pgscan_direct (\d+)$", re.MULTILINE)


def memory(root: Root = HOST) -> dict[str, int]:
    """Return the fields of /proc/meminfo that are sizes, in bytes. Raises OSError."""
    path = root.path("/proc/meminfo")
    fields = (line.split() for line in lines(proc.read(path)))
    sizes = {
        words[0].rstrip(":"): int(words[1]) * 1024
        for words in fields
        if words[2:] == ["kB"] and words[1].isdecimal()
    }
    if not {"MemTotal", "MemFree"} <= sizes.keys():
        raise proc.mangled(path)
    return sizes


def excess(sizes: dict[str, int], limit: int) -> int:
    """Return about how much the kernel has to free before it can take a snapshot; as image_of."""
    return sizes["MemTotal"] - sizes["MemFree"] - image_of(sizes, limit)


def image_of(sizes: dict[str, int], limit: int) -> int:
    """Return about how large a snapshot will be, in bytes, if the kernel keeps it below `limit`.

    It drops caches and swaps out until the limit is met, but cannot drop what it needs itself
    (kernel/power/snapshot.c, hibernate_preallocate_memory).
    """
    used = sizes["MemTotal"] - sizes["MemFree"]
    droppable = sum(
        sizes.get(name, 0)
        for name in (
            "SReclaimable",
            "Active(anon)",
            "Inactive(anon)",
            "Active(file)",
            "Inactive(file)",
        )
    )
    return min(used, max(limit, used - droppable), sizes["MemTotal"] // 2)


def high_watermarks() -> int:
    """Return the bytes free at which the kernel stops to reclaim, of all zones."""
    return sum(_numbers("/proc/zoneinfo", _HIGH)) * PAGE_SIZE


def scanned() -> int:
    """Return how many pages tasks have looked at, since the boot, to take some away for themselves.

    What kswapd does in the background does not count: nobody waits for it, and it also runs to make
    larger blocks of what is free (mm/page_alloc.c, boost_watermark).
    """
    return sum(_numbers("/proc/vmstat", _SCANNED))


def reclaimed() -> int:
    """Return a number that grows as the kernel reclaims memory, 0 where it does not tell."""
    with suppress(OSError):
        return sum(_numbers("/proc/vmstat", _RECLAIMED))
    return 0


def _numbers(path: str, pattern: re.Pattern[str]) -> list[int]:
    return [int(number) for number in pattern.findall(proc.read(path))]


def pressure() -> float:
    """Return in which share of the last ten seconds some task waited for memory, in percent.

    Documentation/accounting/psi.rst; 0 where the kernel does not know.
    """
    with suppress(OSError):
        if found := _SOME.search(proc.read("/proc/pressure/memory")):
            return float(found[1])
    return 0.0


class PageFlags(OpenFile):
    """/proc/kpageflags, open: what the kernel uses each page of memory for.

    Documentation/admin-guide/mm/pagemap.rst. Raises OSError where the kernel has none, or lets
    nobody read it.
    """

    def __init__(self) -> None:
        super().__init__(os.open(PAGE_FLAGS, os.O_RDONLY | os.O_CLOEXEC))

    def read(self, first: int, count: int) -> "array[int]":
        """Return the flags of so many pages from page frame `first` on; less where memory ends."""
        return array("Q", os.pread(self.fd, count * _ENTRY_SIZE, first * _ENTRY_SIZE))
