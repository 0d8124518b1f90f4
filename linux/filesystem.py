"""FIFREEZE and FITHAW (include/uapi/linux/fs.h, fs/ioctl.c), and syncfs(2)."""

import ctypes
import fcntl
import os

FIFREEZE = 0xC0045877
FITHAW = 0xC0045878

_libc = ctypes.CDLL(None, use_errno=True)


def freeze(fd: int) -> None:
    """Stop the file system that `fd` is on, clean on disk.

    EBUSY: it is frozen already; EOPNOTSUPP: it cannot be frozen.
    """
    fcntl.ioctl(fd, FIFREEZE, 0)


def thaw(fd: int) -> None:
    """Let it go on. EINVAL: it is not frozen."""
    fcntl.ioctl(fd, FITHAW, 0)


def sync_file_system(fd: int) -> None:
    """Write all that is dirty of the file system that `fd` is on; for as long as that takes."""
    if _libc.syncfs(fd) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))
