"""Which store to hibernate to."""

import os

from kernel import cmdline, swap
from store.device import DeviceStore
from store.errors import DeviceNotFoundError, StoreRefusedError
from store.locate import find_device
from store.swap import SwapStore, find_active, is_zram


def choose_store(name: str | None, command_line: str) -> str:
    """Return the path of the store: the one named, else resume='s, else the largest swap.

    Raises DeviceNotFoundError, StoreRefusedError.
    """
    spec = name or cmdline.parse(command_line).get("resume")
    if not spec:
        return largest_swap(swap.active_swaps())
    if os.path.isfile(spec):
        raise StoreRefusedError(f"{spec} is not a block device")
    path = find_device(spec)
    if path is None:
        source = "" if name else ", which resume= on the kernel command line names,"
        raise DeviceNotFoundError(f"{spec}{source} is not there")
    return path


def largest_swap(areas: list[swap.SwapArea]) -> str:
    """Return the path of the largest swap partition. Raises StoreRefusedError."""
    partitions = [area for area in areas if area.is_partition and not is_zram(area)]
    if not partitions:
        raise StoreRefusedError(
            "no swap partition is in use to hibernate to",
            "swapon one, or prepare a device of its own with `torpor mkstore`",
        )
    return max(partitions, key=lambda area: area.size).path


def open_store(path: str) -> SwapStore | DeviceStore:
    """Open the store at `path`. Raises StoreRefusedError, DeviceNotFoundError, UnreadableError."""
    return SwapStore(path) if find_active(path) else DeviceStore(path)


def resumes_from(path: str, command_line: str) -> bool:
    """Return whether resume= on this command line names the device at `path`."""
    spec = cmdline.parse(command_line).get("resume")
    found = find_device(spec) if spec else None
    return found is not None and os.path.samefile(found, path)
