"""The C library by ctypes: its errors, and system calls that it has no function for.

The C functions set no error by themselves: `checked` takes what each returns.
"""

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
quick = ctypes.PyDLL(None, use_errno=True)
"""The same under Python's lock: to let go of that costs as much as a call of a microsecond."""
libc.syscall.restype = quick.syscall.restype = ctypes.c_long

_NUMBERS = {
    # arch/x86/entry/syscalls/syscall_64.tbl, asm/unistd_64.h
    "x86_64": {"ioprio_set": 251, "openat2": 437, "process_madvise": 440, "cachestat": 451},
}
"""Numbers of system calls by the machine's name in uname(2): each architecture has its own."""


def number_of(name: str) -> int:
    """Return the number of a system call here; -1, for which the kernel says ENOSYS, if unknown."""
    return _NUMBERS.get(os.uname().machine, {}).get(name, -1)


def checked(result: int) -> int:
    """Return what a C function returned. Raises OSError with its errno for a negative number."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
