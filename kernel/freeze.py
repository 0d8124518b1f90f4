"""FIFREEZE and FITHAW (include/uapi/linux/fs.h, fs/ioctl.c)."""

import fcntl

FIFREEZE = 0xC0045877
FITHAW = 0xC0045878


def freeze(fd: int) -> None:
    """Stop the file system that `fd` is on, clean on disk.

    EBUSY: it is frozen already; EOPNOTSUPP: it cannot be frozen.
    """
    fcntl.ioctl(fd, FIFREEZE, 0)


def thaw(fd: int) -> None:
    """Let it go on. EINVAL: it is not frozen."""
    fcntl.ioctl(fd, FITHAW, 0)
