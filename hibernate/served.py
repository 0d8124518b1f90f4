"""Which file systems lie on what a process serves: to freeze them would wait without an end.

When file systems are frozen, all tasks have stopped. Freezing writes, the guard reads, and whoever
answers is frozen, too; no signal ends such a wait.
"""

import re
from collections.abc import Iterator

from errors import KernelRefusedError
from hibernate.order import FileSystem, layers_below
from linux import stack
from linux.mounts import Mount

_SERVED = re.compile(r"(ublkb|nbd)\d+")
"""Block devices in user space, and those over a network, whose nbd-client ends the connection when
it is frozen (nbd_start_device_ioctl in drivers/block/nbd.c)."""


def refuse_served(file_systems: list[FileSystem], mounts: list[Mount]) -> None:
    """Raise KernelRefusedError if one of the file systems needs a process; `mounts` are all."""
    for file_system in file_systems:
        place = file_system[0].mount_point
        for what in _served(file_system, mounts):
            raise KernelRefusedError(
                f"{place} lies on {what}, served by a process that stops before it",
                f"unmount it before you hibernate: umount {place}",
            )


def _served(file_system: FileSystem, mounts: list[Mount]) -> Iterator[str]:
    for layer in layers_below(file_system[0]):
        path = stack.backing_file(layer.name)
        if _SERVED.match(layer.name):
            yield f"/dev/{layer.name}"
        elif path and _mount_above(path, mounts).startswith("fuse"):
            yield path


def _mount_above(path: str, mounts: list[Mount]) -> str:
    """Return the type of the mount nearest above the path; of several there, the last one."""
    above = [
        (len(mount.mount_point), number)
        for number, mount in enumerate(mounts)
        if f"{path}/".startswith(f"{mount.mount_point.rstrip('/')}/")
    ]
    return mounts[max(above)[1]].fs_type if above else ""
