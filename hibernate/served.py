"""What a frozen machine cannot write to: what a process serves, or a file on what is frozen.

When file systems are frozen, all tasks have stopped. Freezing writes, the guard reads, the kernel
swaps out to make room; if whoever answers is frozen, that never ends, and no signal ends it.
"""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress

from errors import KernelRefusedError, StoreRefusedError, command
from linux import stack
from linux.loop import LoopFile
from linux.mounts import FileSystem, Mount, MountTable, SwapArea, active_swaps
from linux.open_file import OpenFile
from linux.root import Root
from store.place import mount_of
from store.served import why_served

_VIEW = re.compile(r"/proc/\d+/root(?=/)")
"""How filesystems.every_mount reaches what another process sees."""


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

    def layers_below(self, mount: Mount) -> Iterator[stack.Layer]:
        """Yield all that is below the file system, also below loop devices of block devices."""
        return self.with_devices(self._table.layers_below(mount))

    def with_devices(self, layers: Iterable[stack.Layer]) -> Iterator[stack.Layer]:
        """Yield these layers, each with what a loop device made of a block device is on."""
        for layer in layers:
            yield layer
            if (held := self._file(layer)) and held.device:
                yield from self.with_devices(stack.layers_of(held.device, self._root))

    def holder(self, layer: stack.Layer) -> Mount | None:
        """Return a mount of what holds this loop device's file, None where nobody can tell."""
        if (held := self._file(layer)) is None:
            return None
        return self._of_number.get(held.file_system) or self._at_path(layer.file, held)

    def depth(self, mount: Mount) -> int:
        """Return how many file systems lie below this one, each in a file of the next."""
        holders = filter(None, map(self.holder, self.layers_below(mount)))
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
    """Raise KernelRefusedError if one of these file systems lies on what has stopped by then."""
    loops = LoopFiles(table)
    for file_system in some:
        place = file_system[0].mount_point
        for layer in loops.layers_below(file_system[0]):
            why = why_served(layer.name, table.root)
            if why := why or _why_no_file(file_system[0], layer, loops):
                raise KernelRefusedError(
                    f"{place} lies on /dev/{layer.name}, which cannot be written to once the "
                    f"machine is frozen: {why}",
                    f"unmount it before you hibernate: {command('umount', place)}",
                )


def _why_no_file(mount: Mount, layer: stack.Layer, loops: LoopFiles) -> str:
    """Return why the file of a loop device cannot be written to, "" if it can.

    A read-only mount writes nothing when it is frozen, and the guard leaves it out.
    """
    if not layer.file or not mount.is_writable:
        return ""
    holder = loops.holder(layer)
    if holder is None or holder.fs_type == "overlay":
        return f"nobody can tell which file system holds its file {layer.file}"
    return f"a process serves its file {layer.file}" if holder.is_served else ""


def refuse_served_swap(table: MountTable) -> None:
    """Raise KernelRefusedError if active swap lies on such a device, or in a file by a loop device.

    To take a snapshot the kernel swaps out, when all file systems are frozen.
    """
    loops = LoopFiles(table)
    for area in active_swaps(table.root):
        for layer in loops.with_devices(layers_of_swap(area, table)):
            why = why_served(layer.name, table.root)
            if why := why or (layer.file and f"its file {layer.file} is frozen by then"):
                raise KernelRefusedError(
                    f"the swap on {area.path} lies on /dev/{layer.name}, which cannot be written "
                    f"to once the machine is frozen: {why}",
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
