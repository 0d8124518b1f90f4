"""The mounted file systems on disks here, whose files the page cache holds."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath

from errors import DeviceNotFoundError
from linux.mounts import Mount, MountTable, open_mount
from linux.root import HOST
from store.locate import find_device, name_of, node_of_number


@dataclass(frozen=True, slots=True)
class Tree:
    """A mounted file system, and the device that it lies on."""

    mount: Mount
    node: str
    """Path of the device."""

    @property
    def name(self) -> str:
        """What finds the device at another boot, too."""
        try:
            return name_of(self.node)
        except OSError:
            return self.node


def trees(table: MountTable) -> list[Tree]:
    """Return the file systems on block devices, each folder of them once.

    Not what a process serves (fuseblk): looking at its files waits for that process.
    """
    found: dict[tuple[str, str], Tree] = {}
    for mount in table.mounts:
        place = mount.device, mount.root
        if place in found or mount.is_served or not (node := _node_below(mount, table)):
            continue
        tree = Tree(mount, node)
        with suppress(OSError):
            os.close(open_tree(tree))
            found[place] = tree
    return [
        tree
        for (device, root), tree in found.items()
        if not any((device, str(folder)) in found for folder in PurePosixPath(root).parents)
    ]


def _node_below(mount: Mount, table: MountTable) -> str | None:
    """Return the device of the mount; of a btrfs on several the first, which its UUID finds."""
    numbers = table.main_devices(mount)
    return node_of_number(numbers[0], table.root) if numbers else None


class Places:
    """Where the paths that processes see lie in these trees."""

    def __init__(self, table: MountTable, kept: Sequence[Tree]) -> None:
        """`table` has all mounts; those of file systems in `kept` may be in it."""
        self._table = table
        self._kept = kept
        self._known: dict[int, tuple[int, bytes] | None] = {}
        """What _place says of a mount."""

    def find(self, path: bytes) -> tuple[int, bytes] | None:
        """Return the number of the tree that `path` is in, and its path there."""
        mount = self._table.mount_above(os.fsdecode(path))
        if mount is None:
            return None
        if mount.mount_id not in self._known:
            self._known[mount.mount_id] = _place(mount, self._kept)
        if (place := self._known[mount.mount_id]) is None:
            return None
        number, above = place
        rest = path[len(os.fsencode(mount.mount_point.rstrip("/"))) :].strip(b"/")
        return number, b"/".join(filter(None, (above, rest)))


def _place(mount: Mount, kept: Sequence[Tree]) -> tuple[int, bytes] | None:
    """Return the tree that the mount shows a part of, and the path of that part in it."""
    for number, tree in enumerate(kept):
        root = PurePosixPath(mount.root)
        if mount.device == tree.mount.device and root.is_relative_to(tree.mount.root):
            below = mount.root[len(tree.mount.root.rstrip("/")) :].strip("/")
            return number, os.fsencode(below)
    return None


def find_tree(candidates: Sequence[Tree], device: str, root: str) -> Tree | None:
    """Return the one on `device`, a name as Tree.name gives, with this root; "" is any.

    None where it is not mounted.
    """
    try:
        node = find_device(device)
    except DeviceNotFoundError:
        return None
    for tree in candidates:
        if node and HOST.is_same_device(tree.node, node) and root in ("", tree.mount.root):
            return tree
    return None


def open_tree(tree: Tree) -> int:
    """Open the folder that it is mounted on. Raises OSError, also where another mount hides it."""
    # Not O_PATH, which open_by_handle_at takes from newer kernels only.
    return open_mount(tree.mount, os.O_DIRECTORY)
