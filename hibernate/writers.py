"""Processes that write to block devices themselves: virtual machines, databases, servers of disks.

They stop with all others, and what they know of their device is in the image. But no file system is
mounted from it, so the guard compares nothing of it.
"""

from collections.abc import Iterator

from linux import stack, tasks
from linux.mounts import Mount, MountTable
from linux.root import Root
from store.served import why_served

_WITH_NODES = ("devtmpfs", "tmpfs", "ramfs", "rootfs", "overlay")
"""Types of file systems without a device of their own that may have nodes of devices."""


def writers(table: MountTable) -> Iterator[tuple[str, str]]:
    """Yield the name of each device that a process has open for writing, and what to call that.

    Left out is what lies in files, which the guard sees, or in memory, and what this machine serves
    itself: its process stops, so that the connection ends, or it serves what is seen elsewhere.
    """
    root = table.root
    mounts = {mount.mount_id for mount in table.mounts if _can_be_asked(mount, table)}
    for pid in tasks.pids():
        try:
            process = f"{tasks.name_of(pid)} (process {pid})"
            numbers = {*tasks.written_devices(pid, mounts)}
        except OSError:
            continue  # it has ended
        for number in numbers:
            name = root.device_name(number)
            if name and stack.is_lasting(number, root) and not _is_served(number, root):
                yield name, process


def _can_be_asked(mount: Mount, table: MountTable) -> bool:
    """Return whether it may have nodes, and no server that does not answer can keep us waiting."""
    return mount.fs_type in _WITH_NODES or (table.is_on_device(mount) and not mount.is_served)


def _is_served(number: str, root: Root) -> bool:
    return any(why_served(layer.name, root) for layer in stack.layers_of(number, root))
