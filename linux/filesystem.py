"""File systems: to freeze, thaw and sync one, the UUID of a btrfs, the pools of ZFS."""

import fcntl
from uuid import UUID

from linux.libc import checked, libc
from linux.root import Root

FIFREEZE = 0xC0045877
FITHAW = 0xC0045878
"""include/uapi/linux/fs.h, fs/ioctl.c."""
BTRFS_IOC_FS_INFO = 0x8400941F
"""include/uapi/linux/btrfs.h."""

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


def btrfs_uuid(fd: int) -> str:
    """Return the UUID of the btrfs that `fd` is on, as /sys/fs/btrfs has it. Raises OSError."""
    data = bytearray(1024)  # struct btrfs_ioctl_fs_info_args: max_id, num_devices, fsid
    fcntl.ioctl(fd, BTRFS_IOC_FS_INFO, data)
    return str(UUID(bytes=bytes(data[16:32])))


def zfs_pools(root: Root) -> list[str]:
    """Return the names of the imported pools: each has a folder with the file `state`.

    openzfs, module/zfs/spa_stats.c. Raises OSError.
    """
    return [name for name in root.names(ZFS_KSTAT) if root.exists(f"{ZFS_KSTAT}/{name}/state")]
