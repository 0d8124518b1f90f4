"""Asks for the memory of other processes: process_madvise(2), process_vm_readv(2)."""

import ctypes
import errno
import os
from collections.abc import Sequence
from functools import cache

MOST_RANGES = 1024
"""UIO_MAXIOV, include/uapi/linux/uio.h."""

_SYS_PROCESS_MADVISE = 440
_SYS_IOPRIO_SET = 251
_MADV_WILLNEED = 3
_MADV_PAGEOUT = 21
_IOPRIO_WHO_PROCESS = 1
_IOPRIO_IDLE = 3 << 13
"""IOPRIO_CLASS_IDLE, include/uapi/linux/ioprio.h."""

_libc = ctypes.CDLL(None, use_errno=True)


class _IoVector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def will_need(pidfd: int, ranges: Sequence[tuple[int, int]]) -> int:
    """Have the kernel begin to read these ranges of a process's memory from swap.

    At most MOST_RANGES, of address and bytes each, where nothing or shared memory is mapped: in a
    file's mapping it is the file that is read (mm/madvise.c, madvise_willneed). Returns how many
    bytes it took: it ends before a range that is not mapped any more. Raises OSError for the first
    one, and as process_madvise.
    """
    return _advise(pidfd, ranges, _MADV_WILLNEED)


def page_out(pidfd: int, ranges: Sequence[tuple[int, int]]) -> int:
    """Have the kernel begin to swap these ranges out, in order; as will_need.

    What has been written stays in memory until the memory is wanted, and is free to be taken then.
    """
    return _advise(pidfd, ranges, _MADV_PAGEOUT)


def _advise(pidfd: int, ranges: Sequence[tuple[int, int]], what: int) -> int:
    vectors = (_IoVector * len(ranges))(*(_IoVector(*each) for each in ranges))
    done = _libc.syscall(
        _SYS_PROCESS_MADVISE, pidfd, vectors, ctypes.c_size_t(len(ranges)), what, 0
    )
    return _checked(done)


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
        got = _libc.process_vm_readv(
            ctypes.c_int(pid),
            ctypes.byref(here),
            ctypes.c_ulong(1),
            there,
            ctypes.c_ulong(left),
            ctypes.c_ulong(0),
        )
        if got < 0 and ctypes.get_errno() != errno.EFAULT:
            _checked(got)
        done += max(got, 0)
        at += max(got, 0) + 1
    return done


def be_idle() -> None:
    """Let all others go before this thread, and those it starts, at disks and processors."""
    os.setpriority(os.PRIO_PROCESS, 0, 19)
    _checked(_libc.syscall(_SYS_IOPRIO_SET, _IOPRIO_WHO_PROCESS, 0, _IOPRIO_IDLE))


@cache
def largest_readahead(device: int) -> int:
    """Return how many bytes one POSIX_FADV_WILLNEED reads from a file on the device (st_dev).

    The kernel reads no more for a call than the larger of two limits of the disk
    (mm/readahead.c, force_page_cache_ra). Where they are not known, what all kernels read.
    """
    folder = f"/sys/dev/block/{os.major(device)}:{os.minor(device)}"
    sizes = [128]
    for queue in (f"{folder}/queue", f"{folder}/../queue"):
        for name in ("read_ahead_kb", "max_sectors_kb"):
            try:
                with open(f"{queue}/{name}", encoding="ascii") as file:
                    sizes.append(int(file.read()))
            except (OSError, ValueError):
                continue
    return max(sizes) << 10


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
