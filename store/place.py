"""Where a store begins: a device, and for a file the page on it; and whether that lasts.

A device has to keep what is written to it over a power-off, and a boot to be able to read it.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from errors import Attempt, DeviceNotFoundError, StoreRefusedError, cannot
from format import PAGE_SIZE
from linux import stack
from linux.extents import (
    HARMLESS,
    SHARED,
    FileExtent,
    is_overwritten_in_place,
    is_realtime,
    place_on_btrfs,
)
from linux.mounts import Mount, MountTable, read_mounts
from linux.open_file import OpenFile
from linux.proc import unescaped
from linux.root import HOST, Root
from store import crypttab
from store.locate import node_of_number
from store.served import why_served
from store.stateful import stateful

_FILE_SYSTEMS = ("ext2", "ext3", "ext4", "xfs")
"""Besides btrfs. Of others the guard sees a sample only, in which the image itself may lie."""

VOLATILE = {
    "zram": "compressed memory (zram), which a power-off empties",
    "ram": "a disk in memory, which a power-off empties",
    "loop": "a loop device, which no initramfs sets up",
}
"""By the names of devices without the numbers behind."""


class Place(NamedTuple):
    """The first page of a store."""

    device: str
    """Path of the block device."""
    page: int
    """Number of the page on it: 0 unless the store is a file."""


def place_of(path: str, root: Root = HOST) -> Place:
    """Return the place of a device, or of a file below its file system.

    Raises DeviceNotFoundError, UnreadableError, and StoreRefusedError for a file that has no
    place of its own: with holes, compressed, shared with another, copied on write (with a checksum
    then, which nothing written below the file system would have), or not on a block device.
    """
    if root.device_number(path):
        return Place(path, 0)
    try:
        if not stat.S_ISREG(os.stat(root.path(path)).st_mode):
            raise StoreRefusedError(f"{path} is neither a block device nor a file")
        file = OpenFile(os.open(root.path(path), os.O_RDONLY | os.O_CLOEXEC))
    except FileNotFoundError:
        raise DeviceNotFoundError(f"{path} does not exist") from None
    except OSError as error:
        raise cannot("open", path, error) from error
    with file:
        return file_place(file.fd, path, root)


def file_place(fd: int, path: str, root: Root = HOST) -> Place:
    """Return the place of the open file; as place_of."""
    first = own_extents(fd, path, root, sync=True)[0].physical
    mount = mount_of(fd, path, root)
    with Attempt("find the place of", path):
        if mount.fs_type == "btrfs":
            if not is_overwritten_in_place(fd):
                raise StoreRefusedError(f"{path} has no place of its own: it is copied on write")
            if (found := place_on_btrfs(fd, first)) is None:
                raise StoreRefusedError(f"{path} is on more than one device of its btrfs")
            device, offset = found
        else:
            device, offset = _device_below(mount, path, root), first
    if offset % PAGE_SIZE:
        raise StoreRefusedError(f"{path} does not begin at a page of {device}")
    return Place(device, offset // PAGE_SIZE)


def own_extents(fd: int, path: str, root: Root = HOST, *, sync: bool) -> Sequence[FileExtent]:
    """Return the extents of a file that has every byte in a place that is its own.

    `sync` as in linux.extents. Raises StoreRefusedError for any other file.
    """
    try:
        extents = root.file_extents(fd, sync=sync)
        realtime = is_realtime(fd)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL):
            raise StoreRefusedError(
                f"the file system of {path} does not tell where the file lies"
            ) from error
        raise cannot("find the place of", path, error) from error
    at = 0
    for extent in extents:
        if extent.flags & SHARED:
            raise StoreRefusedError(f"{path} shares blocks with another file (reflink, snapshot)")
        if extent.flags & ~HARMLESS or realtime:
            raise StoreRefusedError(f"{path} has no place of its own: compressed, inline or moving")
        if extent.logical != at:
            break
        at += extent.length
    if not extents or at < os.fstat(fd).st_size:
        raise StoreRefusedError(f"{path} has a hole at byte {at}: it has to be preallocated")
    return extents


def mount_of(fd: int, path: str, root: Root = HOST) -> Mount:
    """Return the mount that the open file is on. Raises StoreRefusedError."""
    wanted = root.mount_id(fd)
    for mount in read_mounts(root):
        if mount.mount_id == wanted:
            return mount
    raise StoreRefusedError(f"{path} is on no file system that is seen here")


def _device_below(mount: Mount, path: str, root: Root) -> str:
    numbers = MountTable([mount], root).devices_below(mount)
    node = node_of_number(numbers[0], root) if numbers else None
    if node is None:
        raise StoreRefusedError(f"{path} is on {mount.fs_type}, which is not on a block device")
    if mount.fs_type not in _FILE_SYSTEMS:
        raise StoreRefusedError(
            f"{path} is on {mount.fs_type}, whose files cannot hold an image",
            "use a file on ext4, xfs or btrfs, or a partition",
        )
    return node


def refuse_volatile(device: str, name: str, root: Root = HOST) -> None:
    """Raise StoreRefusedError if a boot cannot read what is written to the device now.

    That is so of memory, of files, of what is encrypted with a key of this boot only, below any
    number of other layers. Nor can what this machine serves itself be written to when it is frozen,
    and some layers do not survive that an image is written to them (store/stateful.py). `name` is
    what the store is called.
    """
    with Attempt("look at", device):
        reason = next(_losses(stack.layers(device, root), root), "")
    if reason:
        raise StoreRefusedError(
            f"{name} is {reason}",
            "use swap on a disk, or a store (torpor mkstore); encrypted: with LUKS",
        )


def _losses(layers: list[stack.Layer], root: Root) -> Iterator[str]:
    for layer in layers:
        driver = re.match(r"[a-z]+", layer.name)
        if driver and driver[0] in VOLATILE:
            yield VOLATILE[driver[0]]
        if why := why_served(layer.name, root):
            yield f"on /dev/{layer.name}, which stops when the machine is frozen: {why}"
        for each in stateful(layer.name, root):
            if each.no_store:
                yield f"on {each}, {each.no_store}"
        if layer.dm_uuid.startswith("CRYPT-PLAIN-"):
            yield from _lost_key(layer.dm_name, root)


def _lost_key(dm_name: str, root: Root) -> Iterator[str]:
    """Yield why a plain dm-crypt device cannot be opened again; not if crypttab(5) has a key."""
    lines = crypttab.parse(root.text(crypttab.PATH) or "")
    line = lines.get(unescaped(dm_name, r"\x", 16))
    if line is None:
        yield f"encrypted with a key that {crypttab.PATH} does not name ({dm_name})"
    elif line.has_random_key:
        yield f"encrypted with a new random key at each boot ({dm_name} in {crypttab.PATH})"
