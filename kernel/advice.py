"""Asks for the memory of other processes and for files: process_madvise(2), posix_fadvise(2)."""

import ctypes
import os
from collections.abc import Sequence
from functools import cache

MOST_RANGES = 1024
"""UIO_MAXIOV, include/uapi/linux/uio.h."""

_SYS_PROCESS_MADVISE = 440
_SYS_IOPRIO_SET = 251
_MADV_WILLNEED = 3
_IOPRIO_WHO_PROCESS = 1
_IOPRIO_IDLE = 3 << 13
"""IOPRIO_CLASS_IDLE, include/uapi/linux/ioprio.h."""

_libc = ctypes.CDLL(None, use_errno=True)


class _IoVector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def will_need(pidfd: int, ranges: Sequence[tuple[int, int]]) -> int:
    """Have the kernel begin to read these ranges of a process's memory from swap.

    At most MOST_RANGES, of address and bytes each. Returns how many bytes it took: it ends before
    a range that is not mapped any more. Raises OSError for the first one, and as process_madvise.
    """
    vectors = (_IoVector * len(ranges))(*(_IoVector(*each) for each in ranges))
    done = _libc.syscall(
        _SYS_PROCESS_MADVISE, pidfd, vectors, ctypes.c_size_t(len(ranges)), _MADV_WILLNEED, 0
    )
    return _checked(done)


def touch(pid: int, address: int) -> None:
    """Wait until the byte at this address of a process is in memory. Raises OSError."""
    room = ctypes.create_string_buffer(1)
    here = _IoVector(ctypes.addressof(room), 1)
    there = _IoVector(address, 1)
    arguments = (ctypes.byref(here), ctypes.c_ulong(1), ctypes.byref(there), ctypes.c_ulong(1))
    _checked(_libc.process_vm_readv(ctypes.c_int(pid), *arguments, ctypes.c_ulong(0)))


def be_idle() -> None:
    """Let all others go before this thread, and those it starts, at disks and processors."""
    os.nice(19)
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
