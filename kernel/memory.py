"""Locked memory: nothing of ours may be swapped out, or paged in from a frozen file system."""

import ctypes
import os

_MCL_CURRENT, _MCL_FUTURE = 1, 2

_libc = ctypes.CDLL(None, use_errno=True)


def lock_all() -> None:
    """Lock all memory of this process, that of the future too (mlockall(2))."""
    if _libc.mlockall(_MCL_CURRENT | _MCL_FUTURE) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))
