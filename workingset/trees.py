"""The mounted file systems whose files the page cache holds on behalf of a disk here."""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass

from kernel.mounts import Mount, mount_id_of, types_on_devices
from store.errors import DeviceNotFoundError
from store.locate import find_device, name_of, node_of_number

_BY_SERVER = "fuseblk"
"""A file system that a process serves: to look at its files is to wait for that process."""


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
    return [tree for tree in found if not any(_holds(other, tree) for other in found)]


def _node_below(mount: Mount) -> str | None:
    """Return the device of the mount; btrfs has a number of its own, and its source names one."""
    major, minor = (int(part) for part in mount.device.split(":"))
    if major:
        return node_of_number(major, minor)
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
    return below.startswith(above.rstrip("/") + "/")


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
