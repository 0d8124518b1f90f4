"""Writable file systems that no list of mounts names: they would be written to while we save.

One that was unmounted lazily, or from below an overlay, lives on until nobody uses it. The same
goes for devices that the kernel serves to other machines. The kernel knows them: it lets nobody
open them exclusively.
"""

import errno
import os
import time
from collections.abc import Iterator

from errors import KernelRefusedError
from linux import block
from linux.mounts import MountTable, active_swaps
from linux.root import Root

_CLASS = "/sys/class/block"
_FILE_SYSTEMS = "/sys/fs"

_MOMENT = 1.0
"""Seconds: so long at most does a program that looks at a device hold it (udev's cdrom_id)."""


def refuse_unlisted(table: MountTable, store: str) -> None:
    """Raise KernelRefusedError if a device is in use by what is not in the table.

    Swap and the store do not count.
    """
    root = table.root
    held = set(_unlisted(table, store))
    if held:
        time.sleep(_MOMENT)
        held.intersection_update(_unlisted(table, store))
    for name in sorted(held):
        what = next((kind for kind in root.names(_FILE_SYSTEMS) if _has(kind, name, root)), "")
        raise KernelRefusedError(
            f"/dev/{name} is in use, but {f'its {what}' if what else 'what is on it'} is mounted "
            "where nobody sees it",
            "end what uses it: a file system that was unmounted lazily or lies below an overlay, "
            "or a server of the device",
        )


def _has(kind: str, name: str, root: Root) -> bool:
    return root.exists(f"{_FILE_SYSTEMS}/{kind}/{name}")


def _unlisted(table: MountTable, store: str) -> Iterator[str]:
    root = table.root
    numbers = {number for mount in table.mounts for number in table.devices_below(mount)}
    for path in (store, *(area.path for area in active_swaps(root))):
        numbers.update(filter(None, [root.device_number(path)]))
    listed = {root.device_name(number) for number in numbers}
    for name in root.names(_CLASS):
        if name not in listed and not _has_used_part(name, listed, root) and _is_held(name, root):
            yield name


def _has_used_part(disk: str, listed: set[str | None], root: Root) -> bool:
    """Return whether a partition is in use: whoever holds it holds its disk, too."""
    folder = f"{_CLASS}/{disk}"
    parts = [part for part in root.names(folder) if root.exists(f"{folder}/{part}/partition")]
    return any(
        part in listed or root.names(f"{_CLASS}/{part}/holders") or _is_held(part, root)
        for part in parts
    )


def _is_held(name: str, root: Root) -> bool:
    """Return whether it can be written, and something that is no layer above it holds it."""
    folder = f"{_CLASS}/{name}"
    if root.line(f"{folder}/ro") == "1" or root.names(f"{folder}/holders"):
        return False
    node = root.path(f"/dev/{name.replace('!', '/')}")
    try:
        os.close(block.claim(node, os.O_RDONLY | os.O_NONBLOCK))
    except OSError as error:
        return error.errno == errno.EBUSY
    return False
