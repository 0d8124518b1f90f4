"""What a frozen machine cannot write to: what a process serves, or a file on what is frozen.

When file systems are frozen, all tasks have stopped. Freezing writes, the guard reads, the kernel
swaps out to make room; if whoever answers is frozen, that never ends, and no signal ends it.
"""

import os
import re
from contextlib import suppress

from errors import KernelRefusedError, StoreRefusedError, command
from linux import stack
from linux.loop import LoopFile
from linux.mounts import FileSystem, Mount, MountTable, SwapArea, active_swaps
from linux.open_file import OpenFile
from linux.root import Root
from store.place import mount_of
from store.served import connects_again, why_served

_VIEW = re.compile(r"/proc/\d+/root(?=/)")
"""How filesystems.every_mount reaches what another process sees."""
_STOPS = "which cannot be written to once the machine is frozen"
_IN_MEMORY = ("tmpfs", "ramfs", "rootfs")


class LoopFiles:
    """Finds what holds the files of loop devices.

    By device numbers: a path is of one mount namespace, and other mounts may hide it.
    """

    def __init__(self, table: MountTable) -> None:
        self._table = table
        self._root = table.root
        self._of_id = {mount.mount_id: mount for mount in table.mounts}
        self._of_number = {mount.device: mount for mount in reversed(table.mounts)}
        points = [mount.mount_point for mount in table.mounts]
        self._views = {"", *(view[0] for view in map(_VIEW.match, points) if view)}

    def holder(self, layer: stack.Layer) -> Mount | None:
        """Return a mount of what holds this loop device's file, None where nobody can tell."""
        if (held := self._file(layer)) is None:
            return None
        return self._of_number.get(held.file_system) or self._at_path(layer.file, held)

    def is_of_device(self, layer: stack.Layer) -> bool:
        """Return whether it is a loop device of a block device, which is the layer below."""
        held = self._file(layer)
        return bool(held and held.device)

    def is_on_device(self, holder: Mount) -> bool:
        """See MountTable."""
        return self._table.is_on_device(holder)

    def depth(self, mount: Mount) -> int:
        """Return how many file systems lie below this one, each in a file of the next."""
        holders = filter(None, map(self.holder, self._table.layers_below(mount)))
        return max((1 + self.depth(holder) for holder in holders), default=0)

    def _file(self, layer: stack.Layer) -> LoopFile | None:
        try:
            return self._root.loop_file(stack.loop_of(layer.name)) if layer.file else None
        except PermissionError:
            raise  # nobody knows yet whether it can be told
        except OSError:
            return None

    def _at_path(self, path: str, held: LoopFile) -> Mount | None:
        """Return the mount where one of the views has the file at this path: no other one does.

        For a file system whose files have another number than its mounts, as on btrfs.
        """
        for view in self._views:
            with suppress(OSError), _opened(view + path, self._root) as file:
                found = os.fstat(file.fd)
                number = f"{os.major(found.st_dev)}:{os.minor(found.st_dev)}"
                if (number, found.st_ino) == (held.file_system, held.inode):
                    return self._of_id.get(self._root.mount_id(file.fd))
        return None


def _opened(path: str, root: Root) -> OpenFile:
    """Open a file without reading it."""
    return OpenFile(os.open(root.path(path), os.O_PATH | os.O_CLOEXEC))


def refuse_served(some: list[FileSystem], table: MountTable) -> None:
    """Raise KernelRefusedError if one of these file systems lies on what has stopped by then.

    Or, writable, in a file that the guard does not see.
    """
    loops = LoopFiles(table)
    for file_system in some:
        place = file_system[0].mount_point
        for layer in table.layers_below(file_system[0]):
            served = why_served(layer.name, table.root)
            why = f"{_STOPS}: {served}" if served else _why_no_file(file_system[0], layer, loops)
            if why:
                raise KernelRefusedError(
                    f"{place} lies on /dev/{layer.name}, {why}",
                    f"unmount it before you hibernate: {command('umount', place)}",
                )


def _why_no_file(mount: Mount, layer: stack.Layer, loops: LoopFiles) -> str:
    """Return why the file of a loop device cannot be written to, or is not guarded, else "".

    What lies in memory alone nobody else can write to. A read-only mount writes nothing when it is
    frozen, and the guard leaves it out.
    """
    if not layer.file or not mount.is_writable or loops.is_of_device(layer):
        return ""
    holder = loops.holder(layer)
    if holder is None or holder.fs_type == "overlay":
        return f"{_STOPS}: nobody can tell which file system holds its file {layer.file}"
    if holder.is_served:
        return f"{_STOPS}: a process serves its file {layer.file}"
    if loops.is_on_device(holder) or holder.fs_type in _IN_MEMORY:
        return ""
    return f"whose file {layer.file} is on {holder.fs_type}: what others write there is not seen"


def refuse_served_swap(table: MountTable) -> None:
    """Raise KernelRefusedError if active swap lies on such a device, or in a file by a loop device.

    To take a snapshot the kernel swaps out, when all file systems are frozen.
    """
    for area in active_swaps(table.root):
        for layer in layers_of_swap(area, table):
            why = why_served(layer.name, table.root)
            if why := why or (layer.file and f"its file {layer.file} is frozen by then"):
                raise KernelRefusedError(
                    f"the swap on {area.path} lies on /dev/{layer.name}, {_STOPS}: {why}",
                    f"do without it: {command('swapoff', area.path)}",
                )


def layers_of_swap(area: SwapArea, table: MountTable) -> list[stack.Layer]:
    """Return what the swap lies on, [] for a file that is not to be found."""
    with suppress(OSError, StoreRefusedError):
        if area.is_partition:
            return stack.layers(area.path, table.root)
        with _opened(area.path, table.root) as file:
            return table.layers_below(mount_of(file.fd, area.path, table.root))
    return []


def connecting_again(some: list[FileSystem], table: MountTable, store: str) -> list[str]:
    """Return the processes that have to connect disks again in the restored machine.

    Disks of these file systems, of active swap and of the store.
    """
    found = [layer for each in some for layer in table.layers_below(each[0])]
    for area in active_swaps(table.root):
        found += layers_of_swap(area, table)
    with suppress(OSError):  # a file, on one of the file systems
        found += stack.layers(store, table.root)
    helpers = {connects_again(name, table.root) for name in {layer.name for layer in found}}
    return sorted(filter(None, helpers))
