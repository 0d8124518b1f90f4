"""Block devices in use by what no list of mounts names: nothing freezes that, or compares it later.

A file system that was unmounted lazily, or from below an overlay, lives on until nobody uses it.
The kernel knows it: it lets nobody open the device exclusively. A process may write to a device,
too, and so may the kernel for other machines.
"""

import errno
import os
import time
from collections.abc import Collection, Iterator

from errors import KernelRefusedError
from hibernate.exports import exports
from hibernate.writers import writers
from linux import block, stack
from linux.mounts import MountTable, active_swaps
from linux.root import Root

_CLASS = "/sys/class/block"
_FILE_SYSTEMS = "/sys/fs"

RAW = "raw"
"""What `unguarded-file-systems` calls what a process writes to a device itself."""

_MOMENT = 1.0
"""Seconds: so long at most does a program that looks at a device hold it (udev's cdrom_id)."""


def refuse_unlisted(table: MountTable, store: str, unguarded: Collection[str] = ()) -> None:
    """Raise KernelRefusedError if a device is in use by what is not in the table.

    Swap and the store do not count; with RAW in `unguarded`, nor does what processes write to.
    """
    for path, server in exports(table.root):
        raise KernelRefusedError(
            f"{server} serves {path} to other machines, which write to it while the image is saved",
            "stop that before you hibernate, see targetcli(8) and nvmetcli(8)",
        )
    found = {*_unlisted(table, store)}
    if found:
        time.sleep(_MOMENT)
        found.intersection_update(_unlisted(table, store))
    for name, process in sorted(found):
        if not process:
            raise _in_use(name, table.root)
        if RAW not in unguarded:
            raise KernelRefusedError(
                f"{process} has /dev/{name} open for writing: what another system writes there "
                "meanwhile would not be seen",
                f"end it before you hibernate, or say unguarded-file-systems = {RAW} in "
                "/etc/torpor.conf",
            )


def _in_use(name: str, root: Root) -> KernelRefusedError:
    """Return what is to be said of a device that something holds."""
    if root.exists(bcache := f"{_CLASS}/{name}/bcache"):
        file = "set/unregister" if root.exists(f"{bcache}/set") else "stop"
        return KernelRefusedError(
            f"/dev/{name} is in use by bcache, which a boot changes when it sets it up",
            f"have bcache let go of it: echo 1 > {bcache}/{file}",
        )
    kind = _file_system_on(name, root)
    return KernelRefusedError(
        f"/dev/{name} is in use, but {f'its {kind}' if kind else 'what is on it'} is mounted "
        "where nobody sees it",
        "end what uses it: a file system that was unmounted lazily or lies below an overlay, "
        "or a program that holds the device",
    )


def _unlisted(table: MountTable, store: str) -> Iterator[tuple[str, str]]:
    """Yield the name of each such device, and the process that writes to it, "" if none is known.

    What lies below a listed one is its business: mdadm and VeraCrypt have that open.
    """
    root = table.root
    numbers = {number for mount in table.mounts for number in table.devices_below(mount)}
    for path in (store, *(area.path for area in active_swaps(root)), *_behind_zram(root)):
        numbers.update(filter(None, [root.device_number(path)]))
    listed = {root.device_name(number) for number in numbers}
    below = {layer.name for number in numbers for layer in stack.layers_of(number, root)}
    written = {name: process for name, process in writers(table) if name not in below}
    yield from written.items()
    for name in _held({*listed, *written}, root):
        yield name, ""


def _behind_zram(root: Root) -> Iterator[str]:
    """Yield the devices that zram moves pages to, when told to (Documentation, zram.rst)."""
    for name in root.names(_CLASS):
        if name.startswith("zram"):
            yield root.line(f"{_CLASS}/{name}/backing_dev")


def _held(used: Collection[str | None], root: Root) -> Iterator[str]:
    """Yield the devices that something holds of which no use is known.

    Whoever holds a partition holds its disk, too, and nobody may hold a partition of a disk that is
    held as a whole (bd_may_claim in block/bdev.c).
    """
    for name in root.names(_CLASS):
        disk = _disk_of(name, root)
        if _is_known(name, used, root) or (disk and _is_whole_in_use(disk, used, root)):
            continue
        if _has_used_part(name, used, root) and not _file_system_on(name, root):
            continue
        if _is_held(name, root):
            yield name


def _is_known(name: str, used: Collection[str | None], root: Root) -> bool:
    """Return whether it is used, or below another layer."""
    return name in used or bool(root.names(f"{_CLASS}/{name}/holders"))


def _is_whole_in_use(disk: str, used: Collection[str | None], root: Root) -> bool:
    """Return whether what uses a disk uses no partition: those are left from an earlier use."""
    return _is_known(disk, used, root) or bool(_file_system_on(disk, root))


def _disk_of(name: str, root: Root) -> str:
    """Return the disk of a partition, "" for anything else."""
    folder = f"{_CLASS}/{name}"
    if not root.exists(f"{folder}/partition"):
        return ""
    return os.path.basename(os.path.realpath(root.path(f"{folder}/..")))


def _file_system_on(name: str, root: Root) -> str:
    """Return the type of a mounted file system on it, "" if the kernel tells of none."""
    for kind in root.names(_FILE_SYSTEMS):
        if root.exists(f"{_FILE_SYSTEMS}/{kind}/{name}"):
            return kind
    known = root.names(f"{_FILE_SYSTEMS}/btrfs")
    is_btrfs = any(root.exists(f"{_FILE_SYSTEMS}/btrfs/{uuid}/devices/{name}") for uuid in known)
    return "btrfs" if is_btrfs else ""


def _has_used_part(disk: str, used: Collection[str | None], root: Root) -> bool:
    folder = f"{_CLASS}/{disk}"
    parts = [part for part in root.names(folder) if root.exists(f"{folder}/{part}/partition")]
    return any(_is_known(part, used, root) or _is_held(part, root) for part in parts)


def _is_held(name: str, root: Root) -> bool:
    """Return whether it can be written, and something holds it."""
    if root.line(f"{_CLASS}/{name}/ro") == "1":
        return False
    node = root.path(f"/dev/{name.replace('!', '/')}")
    try:
        os.close(block.claim(node, os.O_RDONLY | os.O_NONBLOCK))
    except OSError as error:
        return error.errno == errno.EBUSY
    return False
