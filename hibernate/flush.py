"""Writes out all that is dirty while helpers still run, with an end to the waiting.

A server that is gone keeps sync(2) from ever ending, and with it the kernel's own sync in FREEZE.
So a child does it first: if it does not get on, nothing has happened yet but a few frozen cgroups.
"""

import contextlib
import mmap
import os
import signal
import time

from errors import KernelRefusedError
from hibernate.signals import stop_if_asked
from linux import filesystem
from linux.memory import memory
from linux.mounts import FileSystem, MountTable, file_systems
from linux.open_file import OpenFile

LIMIT = 60.0
"""Seconds without anything getting written after which a sync is given up."""

_POLL = 0.02


def flush(table: MountTable) -> None:
    """Write out what is dirty on all that is mounted.

    Raises KernelRefusedError with the name of the one that hangs, AbortedError.
    """
    remote = without_block_device(table)
    at = mmap.mmap(-1, mmap.PAGESIZE)
    child = os.fork()
    if child == 0:
        _sync_all(remote, at)
    try:
        _wait(child, remote, at)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise


def without_block_device(table: MountTable) -> list[FileSystem]:
    """Return the mounts of each file system that the network, a process or memory may be below.

    Without autofs: to look at one of those is to mount it.
    """
    return file_systems(
        mount
        for mount in table.mounts
        if mount.fs_type != "autofs" and (mount.is_served or not table.is_on_device(mount))
    )


def _sync_all(remote: list[FileSystem], at: mmap.mmap) -> None:
    """Be the child; never returns. It keeps nothing open: should it hang, it would for ever."""
    try:
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        for number, mounts in enumerate([*remote, []]):
            at[:4] = number.to_bytes(4, "little")
            _sync_one(mounts)
        os.sync()
    finally:
        os._exit(0)


def _sync_one(mounts: FileSystem) -> None:
    """Sync a file system by the first of its mounts that can be opened; root may not open all."""
    for mount in mounts:
        with contextlib.suppress(OSError):
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
            with OpenFile(os.open(mount.mount_point, flags)) as folder:
                filesystem.sync_file_system(folder.fd)
            return


def _wait(child: int, remote: list[FileSystem], at: mmap.mmap) -> None:
    """Wait for the child; `at` has the number of the remote file system where it is."""
    least, since = unwritten(), time.monotonic()
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        stop_if_asked()
        if (now := unwritten()) < least:
            least, since = now, time.monotonic()
        elif time.monotonic() - since > LIMIT:
            number = int.from_bytes(at[:4], "little")
            name = remote[number][0].mount_point if number < len(remote) else "the disks"
            raise KernelRefusedError(
                f"{name}: what has changed cannot be written, {LIMIT:.0f} s without progress",
                "unmount it, or bring its server or device back",
            )
        time.sleep(_POLL)


def unwritten() -> int:
    """Return the bytes that wait to be written or are being written."""
    sizes = memory()
    return sizes["Dirty"] + sizes["Writeback"]
