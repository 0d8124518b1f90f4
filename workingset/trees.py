"""The mounted file systems on disks here, whose files the page cache holds."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache, partial
from typing import NamedTuple

from errors import DeviceNotFoundError
from format.working_set import MAX_FILE_SYSTEMS
from linux.mounts import Mount, MountTable, open_mount
from linux.root import HOST
from store.locate import find_device, name_of, node_of_number


class Tree(NamedTuple):
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
    node_of = cache(partial(node_of_number, root=table.root))
    # A folder's own mounts come after those of what holds it, which show it, too.
    for mount in sorted(table.mounts, key=lambda mount: len(mount.root)):
        if any((mount.device, folder) in found for folder in _folders(mount.root)):
            continue
        # Of a btrfs on several devices the first, which its UUID finds.
        numbers = [] if mount.is_served else table.main_devices(mount)[:1]
        if not numbers or not (node := node_of(numbers[0])):
            continue
        tree = Tree(mount, node)
        with suppress(OSError):
            os.close(open_tree(tree))
            found[mount.device, mount.root] = tree
            if len(found) == MAX_FILE_SYSTEMS:
                break
    return list(found.values())


def _folders(path: str) -> Iterator[str]:
    """Yield a path and all folders above it."""
    while path != "/":
        yield path
        path = path.rpartition("/")[0] or "/"
    yield "/"


class Places:
    """Where the paths that processes see lie in these trees."""

    def __init__(self, table: MountTable, kept: Sequence[Tree]) -> None:
        """`table` has all mounts; those of file systems in `kept` may be in it."""
        self._table = table
        self._kept = {
            (tree.mount.device, tree.mount.root): number for number, tree in enumerate(kept)
        }
        self._known: dict[int, tuple[int, bytes] | None] = {}
        """What _place says of a mount."""

    def find(self, path: bytes) -> tuple[int, bytes] | None:
        """Return the number of the tree that `path` is in, and its path there."""
        mount = self._table.mount_above(os.fsdecode(path))
        if mount is None:
            return None
        if mount.mount_id not in self._known:
            self._known[mount.mount_id] = self._place(mount)
        if (place := self._known[mount.mount_id]) is None:
            return None
        number, above = place
        rest = path[len(os.fsencode(mount.mount_point.rstrip("/"))) :].strip(b"/")
        return number, b"/".join(filter(None, (above, rest)))

    def _place(self, mount: Mount) -> tuple[int, bytes] | None:
        """Return the tree that the mount shows a part of, and the path of that part in it."""
        for folder in _folders(mount.root):
            if (number := self._kept.get((mount.device, folder))) is not None:
                return number, os.fsencode(mount.root[len(folder.rstrip("/")) :].strip("/"))
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
        if node and root in ("", tree.mount.root) and HOST.is_same_device(tree.node, node):
            return tree
    return None


def open_tree(tree: Tree) -> int:
    """Open the folder that it is mounted on. Raises OSError, also where another mount hides it."""
    # Not O_PATH, which open_by_handle_at takes from newer kernels only.
    return open_mount(tree.mount, os.O_DIRECTORY)
