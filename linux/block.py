"""Block devices: size, holders, and files opened past the page cache."""

import fcntl
import os
import stat

from linux.root import Root

# include/uapi/linux/fs.h
BLKGETSIZE64 = 0x80081272
BLKBSZGET = 0x80081270


def size_of(fd: int) -> int:
    """Return the size in bytes of the block device or ordinary file that is open."""
    if not stat.S_ISBLK(os.fstat(fd).st_mode):
        return os.fstat(fd).st_size
    size = bytearray(8)
    fcntl.ioctl(fd, BLKGETSIZE64, size)
    return int.from_bytes(size, "little")


def encode_device(device: int) -> int:
    """Return `device` (a st_rdev) as the kernel's new_encode_dev has it (linux/kdev_t.h)."""
    major, minor = os.major(device), os.minor(device)
    return (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)


def decode_device(device: int) -> str:
    """Return MAJOR:MINOR of such a number (new_decode_dev)."""
    return f"{(device & 0xFFF00) >> 8}:{(device & 0xFF) | (device >> 12 & 0xFFF00)}"


def block_size(fd: int) -> int:
    """Return the size in bytes of the blocks in which the kernel caches the open block device."""
    size = bytearray(8)
    fcntl.ioctl(fd, BLKBSZGET, size)
    return int.from_bytes(size[:4], "little")


def open_direct(path: str, flags: int) -> int:
    """Open a block device past the page cache; an ordinary file as it is."""
    direct = os.O_DIRECT if stat.S_ISBLK(os.stat(path).st_mode) else 0
    return os.open(path, flags | direct | os.O_CLOEXEC)


def claim(path: str, flags: int) -> int:
    """Open a block device that nothing may hold: EBUSY if it is mounted, swap, or part of md or dm.

    The claim lasts until the descriptor is closed (open(2), O_EXCL on block devices).
    """
    return os.open(path, flags | os.O_EXCL | os.O_CLOEXEC)


def slaves(name: str, root: Root) -> list[str]:
    """Return what a device of dm, md or bcache is made of: names in /sys/class/block."""
    folder = f"/sys/class/block/{name}"
    # A partition is on what its whole device is on; only that has slaves.
    return [*root.names(f"{folder}/slaves"), *root.names(f"{folder}/../slaves")]
