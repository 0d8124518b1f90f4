"""The memory of processes: what of it is where, and having the kernel read or swap it.

/proc/PID/maps (Documentation/filesystems/proc.rst), /proc/PID/pagemap
(Documentation/admin-guide/mm/pagemap.rst), process_madvise(2), process_vm_readv(2).
"""

import ctypes
import errno
import os
from array import array
from collections.abc import Sequence
from typing import NamedTuple

from linux import PAGE_SIZE
from linux.libc import checked, libc, number_of
from linux.open_file import OpenFile
from linux.page_cache import Runs, runs

MOST_RANGES = 1024
"""UIO_MAXIOV, include/uapi/linux/uio.h."""

_PROCESS_MADVISE = number_of("process_madvise")
# include/uapi/asm-generic/mman-common.h
WILL_NEED = 3
"""Read it from swap, where nothing or shared memory is mapped: in a file's mapping it is the file
that is read (mm/madvise.c, madvise_willneed)."""
PAGE_OUT = 21
"""Swap it out. What has been written stays in memory until the memory is wanted, and is free to be
taken then."""

_ENTRY_SIZE = 8
_PRESENT, _SWAPPED, _FILE = 0x80, 0x40, 0x20
"""Bits 63, 62 and 61 of an entry, in its last byte."""
_SWAP_TYPE_BITS = 5
_SWAP_OFFSET = (1 << 50) - 1

_IS_OWN = bytes(byte & (_PRESENT | _FILE) == _PRESENT for byte in range(256))
_IS_PRESENT = bytes(byte & _PRESENT != 0 for byte in range(256))
_IS_SWAPPED = bytes(byte & _SWAPPED != 0 for byte in range(256))


class Mapping(NamedTuple):
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

    @property
    def pages(self) -> tuple[int, int]:
        """The numbers of its first page, and of the one behind its last."""
        return self.start // PAGE_SIZE, self.end // PAGE_SIZE


def mappings(pid: int) -> list[Mapping]:
    """Return the mappings of the process; [] for a kernel thread. Raises OSError."""
    with open(f"/proc/{pid}/maps", "rb") as file:
        return parse_mappings(file.read())


def parse_mappings(text: bytes) -> list[Mapping]:
    """Return the mappings in `text`, the contents of a maps; a line like no other is left out.

    Bytes, unlike other text of the kernel: a machine has 100,000 of these lines and more.
    """
    found = []
    for line in text.split(b"\n"):
        try:
            found.append(_mapping(line))
        except ValueError:
            continue
    return found


def _mapping(line: bytes) -> Mapping:
    """Return what a line says (fs/proc/task_mmu.c, show_map_vma). Raises ValueError."""
    limits, rights, _, number, inode = line.split(b" ", 4)
    start, end = limits.split(b"-")
    major, minor = number.split(b":")
    return Mapping(
        int(start, 16),
        int(end, 16),
        not rights.startswith(b"---"),
        rights.endswith(b"s"),
        os.makedev(int(major, 16), int(minor, 16)),
        inode.partition(b" ")[2].lstrip(b" "),
    )


class PageMap(OpenFile):
    """The open pagemap of a process. Raises OSError."""

    def __init__(self, pid: int) -> None:
        super().__init__(os.open(f"/proc/{pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC))

    def read(self, first: int, count: int) -> bytes:
        """Return the entries of so many pages from page `first` on; less where memory ends."""
        return os.pread(self.fd, count * _ENTRY_SIZE, first * _ENTRY_SIZE)


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


def shared_memory_device() -> int:
    """Return st_dev of the tmpfs that shared anonymous memory, memfd and System V's are on."""
    with OpenFile(os.memfd_create("torpor")) as file:
        return os.fstat(file.fd).st_dev


class _IoVector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


libc.process_vm_readv.argtypes = [
    ctypes.c_int,
    *(ctypes.c_void_p, ctypes.c_ulong) * 2,
    ctypes.c_ulong,
]


def advise(pidfd: int, ranges: Sequence[tuple[int, int]], what: int) -> int:
    """Have the kernel begin to do WILL_NEED or PAGE_OUT with these ranges of a process's memory.

    At most MOST_RANGES, of address and bytes each, in order. Returns how many bytes it took: it
    ends before a range that is not mapped any more. Raises OSError for the first one, and as
    process_madvise.
    """
    vectors = (_IoVector * len(ranges))(*(_IoVector(*each) for each in ranges))
    count = ctypes.c_size_t(len(ranges))
    return checked(libc.syscall(_PROCESS_MADVISE, pidfd, vectors, count, what, 0))


def touch(pid: int, addresses: Sequence[int]) -> int:
    """Wait until the bytes at these addresses of a process are in memory; at most MOST_RANGES.

    One after the other, as if it read them itself.

    Returns how many there are; one that is not mapped any more is skipped. Raises OSError if
    the process has ended, or may not be looked at.
    """
    room = ctypes.create_string_buffer(len(addresses))
    done = at = 0
    while at < len(addresses):
        left = len(addresses) - at
        here = _IoVector(ctypes.addressof(room), left)
        there = (_IoVector * left)(*(_IoVector(address, 1) for address in addresses[at:]))
        got = libc.process_vm_readv(pid, ctypes.byref(here), 1, there, left, 0)
        if got < 0 and ctypes.get_errno() != errno.EFAULT:
            checked(got)
        done += max(got, 0)
        at += max(got, 0) + 1
    return done
