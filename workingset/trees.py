"""The mounted file systems on disks here, whose files the page cache holds."""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass

from errors import DeviceNotFoundError
from linux.mounts import Mount, mount_id_of, types_on_devices
from store.locate import find_device, name_of, node_of_number

_BY_SERVER = "fuseblk"
"""A file system that a process serves: looking at its files waits for that process."""


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


def trees(mounts: Sequence[Mount]) -> list[Tree]:
    """Return the file systems on block devices, each folder of them once."""
    types = types_on_devices() - {_BY_SERVER}
    found = [
        Tree(mount, node)
        for mount in mounts
        if mount.fs_type in types and (node := _node_below(mount))
    ]
    opened = [tree for tree in found if _can_be_opened(tree)]
    return [tree for tree in opened if not any(_holds(other, tree) for other in opened)]


def _can_be_opened(tree: Tree) -> bool:
    try:
        os.close(open_tree(tree))
    except OSError:
        return False
    return True


def _node_below(mount: Mount) -> str | None:
    """Return the device of the mount; btrfs has a number of its own, and its source names one."""
    if not mount.device.startswith("0:"):
        return node_of_number(mount.device)
    return mount.source if _number(mount.source) is not None else None


def _number(node: str) -> int | None:
    try:
        status = os.stat(node)
    except (OSError, ValueError):
        return None
    return status.st_rdev if stat.S_ISBLK(status.st_mode) else None


def _holds(other: Tree, tree: Tree) -> bool:
    """Return whether all of `tree` is in `other`, too, by another mount of its file system."""
    if other is tree or other.mount.device != tree.mount.device:
        return False
    above, below = other.mount.root, tree.mount.root
    if above == below:
        return other.mount.mount_id < tree.mount.mount_id
    return _is_below(below, above)


class Places:
    """Where the paths that processes see lie in these trees."""

    def __init__(self, mounts: Sequence[Mount], kept: Sequence[Tree]) -> None:
        """`mounts` are all, the later ones on top; those of file systems in `kept` may be in it."""
        self._points = {
            os.fsencode(mount.mount_point).rstrip(b"/") + b"/": _place(mount, kept)
            for mount in mounts
        }

    def find(self, path: bytes) -> tuple[int, bytes] | None:
        """Return the number of the tree that `path` is in, and its path there."""
        end = len(path)
        while (end := path.rfind(b"/", 0, end)) >= 0:
            point = path[: end + 1]
            if point in self._points:
                place = self._points[point]
                return (place[0], place[1] + path[end + 1 :]) if place else None
        return None


def _place(mount: Mount, kept: Sequence[Tree]) -> tuple[int, bytes] | None:
    """Return the tree that the mount shows a part of, and the path of that with a slash behind."""
    for number, tree in enumerate(kept):
        if mount.device == tree.mount.device and _is_below(mount.root, tree.mount.root):
            below = mount.root[len(tree.mount.root.rstrip("/")) :].strip("/")
            return number, os.fsencode(below and f"{below}/")
    return None


def _is_below(path: str, folder: str) -> bool:
    """Return whether `path` is the folder or in it."""
    return f"{path}/".startswith(f"{folder.rstrip('/')}/")


def find_tree(candidates: Sequence[Tree], device: str, root: str) -> Tree | None:
    """Return the one on `device`, a name as Tree.name gives, with this root; "" is any.

    None where it is not mounted.
    """
    try:
        node = find_device(device)
    except DeviceNotFoundError:
        return None
    number = node and _number(node)
    for tree in candidates:
        if number and _number(tree.node) == number and root in ("", tree.mount.root):
            return tree
    return None


def open_tree(tree: Tree) -> int:
    """Open the folder that it is mounted on. Raises OSError, also where another one covers it."""
    # Not O_PATH, which open_by_handle_at takes from newer kernels only.
    fd = os.open(tree.mount.mount_point, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    if mount_id_of(fd) != tree.mount.mount_id:
        os.close(fd)
        raise NotADirectoryError(f"{tree.mount.mount_point} is covered by another mount")
    return fd
