"""Our own process: its age, its memory, its core."""

import ctypes
import os
import time

_MCL_CURRENT, _MCL_FUTURE = 1, 2
_PR_SET_DUMPABLE = 4

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))


def age() -> float:
    """Return the seconds since this process was started (proc(5), stat, starttime)."""
    with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def lock_memory() -> None:
    """Lock all memory of this process, that of the future too (mlockall(2))."""
    _check(_libc.mlockall(_MCL_CURRENT | _MCL_FUTURE))


def forbid_core_dump() -> None:
    """Let no signal dump core (prctl(2), PR_SET_DUMPABLE)."""
    _check(_libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))
