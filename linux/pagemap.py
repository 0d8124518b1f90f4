"""The memory of processes: /proc/PID/maps and /proc/PID/pagemap.

Documentation/filesystems/proc.rst, Documentation/admin-guide/mm/pagemap.rst.
"""

import os
from array import array
from dataclasses import dataclass
from typing import Self

from linux.residency import PAGE_SIZE, Runs, runs

_ENTRY_SIZE = 8
_PRESENT, _SWAPPED, _FILE = 0x80, 0x40, 0x20
"""Bits 63, 62 and 61 of an entry, in its last byte."""
_SWAP_TYPE_BITS = 5
_SWAP_OFFSET = (1 << 50) - 1

_IS_OWN = bytes(byte & (_PRESENT | _FILE) == _PRESENT for byte in range(256))
_IS_PRESENT = bytes(byte & _PRESENT != 0 for byte in range(256))
_IS_SWAPPED = bytes(byte & _SWAPPED != 0 for byte in range(256))


@dataclass(frozen=True, slots=True)
class Mapping:
    """One line of maps."""

    start: int
    """Bytes, as `end`."""
    end: int
    is_accessible: bool
    """Whether the process may read, write or execute it: else it is mostly a reservation."""
    is_shared: bool
    device: int
    """As st_dev; 0 for memory that is no file's."""
    path: bytes
    """As the process sees it; "[heap]" and the like, or b""."""


def mappings(pid: int) -> list[Mapping]:
    """Return the mappings of the process; [] for a kernel thread. Raises OSError."""
    with open(f"/proc/{pid}/maps", "rb") as file:
        return parse_mappings(file.read())


def parse_mappings(text: bytes) -> list[Mapping]:
    """Return the mappings in `text`, the contents of a maps."""
    found = []
    for line in text.split(b"\n")[:-1]:
        words = line.split(b" ", 5)
        start, _, end = words[0].partition(b"-")
        major, _, minor = words[3].partition(b":")
        device = os.makedev(int(major, 16), int(minor, 16))
        path = words[5].lstrip(b" ") if words[5:] else b""
        rights = words[1]
        flags = rights[:3] != b"---", rights[3:] == b"s"
        found.append(Mapping(int(start, 16), int(end, 16), *flags, device, path))
    return found


class PageMap:
    """The open pagemap of a process; a context manager. Raises OSError."""

    def __init__(self, pid: int) -> None:
        self._fd = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def read(self, first: int, count: int) -> bytes:
        """Return the entries of so many pages from page `first` on; less where memory ends."""
        return os.pread(self._fd, count * _ENTRY_SIZE, first * _ENTRY_SIZE)


def resident(entries: bytes, *, shared: bool) -> Runs:
    """Return the runs of pages in memory that are the process's own; `shared`: all of them."""
    return runs(entries[7::_ENTRY_SIZE].translate(_IS_PRESENT if shared else _IS_OWN))


def absent(entries: bytes) -> Runs:
    """Return the runs of pages that are not in memory."""
    return runs(entries[7::_ENTRY_SIZE].translate(bytes(1 - flag for flag in _IS_PRESENT)))


def swapped(entries: bytes) -> list[tuple[int, int, int]]:
    """Return the pages in swap, in runs that go on both in memory and there.

    Of each: its first page in `entries`, its pages, and where it begins in swap, as a number that
    orders by area, then place.
    """
    found: list[tuple[int, int, int]] = []
    words = array("Q", entries)
    for first, count in runs(entries[7::_ENTRY_SIZE].translate(_IS_SWAPPED)):
        for page in range(first, first + count):
            place = _place(words[page])
            if found:
                start, pages, at = found[-1]
                if start + pages == page and at + pages == place:
                    found[-1] = (start, pages + 1, at)
                    continue
            found.append((page, 1, place))
    return found


def _place(entry: int) -> int:
    """Return where a swapped page is: the swap area's number above 50 bits of page in it."""
    area = entry & (1 << _SWAP_TYPE_BITS) - 1
    return area << 50 | entry >> _SWAP_TYPE_BITS & _SWAP_OFFSET


def page_of(address: int) -> int:
    """Return the number of the page with this address."""
    return address // PAGE_SIZE


def shared_memory_device() -> int:
    """Return st_dev of the tmpfs that shared anonymous memory, memfd and System V's are on."""
    fd = os.memfd_create("torpor")
    try:
        return os.fstat(fd).st_dev
    finally:
        os.close(fd)
