"""File systems: FIFREEZE, FITHAW (include/uapi/linux/fs.h, fs/ioctl.c), syncfs(2), pools of ZFS."""

import fcntl

from linux.libc import checked, libc
from linux.root import Root

FIFREEZE = 0xC0045877
FITHAW = 0xC0045878

ZFS_KSTAT = "/proc/spl/kstat/zfs"


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
    checked(libc.syncfs(fd))


def zfs_pools(root: Root) -> list[str]:
    """Return the names of the imported pools: each has a folder with the file `state`.

    openzfs, module/zfs/spa_stats.c. Raises OSError.
    """
    return [name for name in root.names(ZFS_KSTAT) if root.exists(f"{ZFS_KSTAT}/{name}/state")]
