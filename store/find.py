"""Looks at a device or file: whether it can hold an image, as what, and where it begins.

Nothing is changed. What is refused here is refused by `torpor hibernate`, `enable` and `doctor`
alike, in the same words.
"""

import os
from contextlib import closing
from enum import StrEnum
from typing import NamedTuple

from errors import (
    DeviceNotFoundError,
    OtherInstallationError,
    StoreRefusedError,
    TorporError,
    command,
)
from format import PAGE_SIZE
from format.first_page import KERNEL_IMAGE, SWAP
from linux.installation import machine_id
from linux.mounts import MountTable, SwapArea, active_swaps, read_mounts
from linux.open_file import OpenFile
from linux.root import HOST, Root
from s3.scheme import is_server
from store.device import DeviceStore, claim
from store.file_store import FileStore, page_runs, store_extents
from store.header import StoreHeader, read_header
from store.identity import refuse_others
from store.image import opened
from store.place import Place, place_of, refuse_volatile
from store.protocol import Slot, Store
from store.reached import why_not_reached
from store.swap import SwapStore


class Kind(StrEnum):
    """What a store is."""

    SWAP_PARTITION = "swap partition"
    SWAP_FILE = "swap file"
    STORE_DEVICE = "store device"
    STORE_FILE = "store file"
    SERVER = "server"


class Found(NamedTuple):
    """A store that can be used."""

    path: str
    kind: Kind
    place: Place | None
    """Where it begins on a device; None on a server."""
    room: int
    """Bytes that an image may take."""
    area: SwapArea | None
    """The swap, where it is one."""
    holds_image: bool
    """Whether an image that Torpor made lies there."""
    others_image: TorporError | None = None
    """Why it is not ours to throw away."""

    @property
    def has_to_be_told(self) -> bool:
        """Whether no boot finds it by itself."""
        return self.place is None or self.place.page != 0


def look_at(path: str, root: Root = HOST) -> Found:
    """Return the store at `path`, a device or a file.

    Raises StoreRefusedError, DeviceNotFoundError, UnreadableError.
    """
    if is_server(path):
        return _look_at_server(path, root)
    area = find_active(path, root)
    place = place_of_area(area, root) if area else place_of(path, root)
    refuse_volatile(place.device, path, root)
    with opened(place.device, os.O_RDONLY, root) as fd:
        header = read_header(fd, path, place.page)
        others = _others_image(header, root)
    is_file = bool(place.page)
    if area:
        header.check_markable()
        kind = Kind.SWAP_FILE if is_file else Kind.SWAP_PARTITION
        return Found(path, kind, place, area.size - area.used, area, header.holds_image(), others)
    if not header.is_store:
        raise _no_store(header, place, root)
    kind = Kind.STORE_FILE if is_file else Kind.STORE_DEVICE
    room = _room_in_file(path, place, root) if is_file else _room_on_device(path, root)
    return Found(path, kind, place, room, None, header.holds_image(), others)


def open_store(path: str) -> Store:
    """Open the store at `path` to hibernate to it. Raises as look_at, OtherInstallationError."""
    found = look_at(path)
    if found.others_image:
        raise found.others_image
    if found.place is None:
        from store.server.store import open_server_store

        return open_server_store(path)
    if found.area:
        return SwapStore(found.area, found.place)
    return FileStore(path, found.place) if found.place.page else DeviceStore(path)


def _look_at_server(url: str, root: Root) -> Found:
    from store.server.store import ROOM, open_head  # HTTP and TLS, for such a store only

    with closing(open_head(url, machine_id(root))) as head:
        if why := why_not_reached(head.address, root):
            raise StoreRefusedError(f"{url} does not answer while the machine is frozen: {why}")
        others = _others_image(head, root)
        return Found(url, Kind.SERVER, None, ROOM, None, head.holds_image(), others)


def _others_image(slot: Slot, root: Root) -> TorporError | None:
    try:
        refuse_others(slot, root)
    except OtherInstallationError as error:
        return error
    return None


def _no_store(header: StoreHeader, place: Place, root: Root) -> StoreRefusedError:
    """Return why this page begins no store; without a hint where whoever named it was wrong."""
    path, swapon = header.name, command("swapon", header.name)
    if header.holds_image():
        return StoreRefusedError(
            f"{path} holds an image, so it is not used as swap",
            f"{command('torpor', 'discard', path)} && {swapon}",
        )
    if header.signature == KERNEL_IMAGE:
        mkswap = command("mkswap", "-U", f"{header.uuid}", path)
        return StoreRefusedError(
            f"{path} holds an image of the kernel's own, so it is not used as swap",
            f"if that is not wanted any more: {mkswap} && {swapon}",
        )
    if header.signature == SWAP:
        return StoreRefusedError(f"{path} is swap that is not in use", swapon)
    is_none = f"{path} is neither swap in use nor a store"
    if not place.page and (use := _use_of(place.device, root)):
        return StoreRefusedError(f"{is_none}, but {use}")
    make = "mkstore --size SIZE NEW-FILE" if place.page else command("mkstore", path)
    return StoreRefusedError(
        is_none,
        f"prepare a store, losing what the device holds: torpor {make}",
    )


def _use_of(device: str, root: Root) -> str:
    """Return what a device is in use as, "" if that is not seen: it cannot be made a store."""
    number = root.device_number(device) or ""
    table = MountTable(read_mounts(root), root)
    for mount in table.mounts:
        if number in table.devices_below(mount):
            return f"mounted at {mount.mount_point}"
    for holder in root.names(f"/sys/class/block/{root.device_name(number)}/holders"):
        return f"part of {root.line(f'/sys/class/block/{holder}/dm/name') or holder}"
    return ""


def _room_in_file(path: str, place: Place, root: Root) -> int:
    with OpenFile(os.open(root.path(path), os.O_RDONLY | os.O_CLOEXEC)) as file:
        runs = page_runs(store_extents(file.fd, path, root), place.page)
    return sum(runs.counts) * PAGE_SIZE


def _room_on_device(path: str, root: Root) -> int:
    claim(path, os.O_RDONLY, root).close()
    return root.device_size(path) // PAGE_SIZE * PAGE_SIZE - PAGE_SIZE


def find_active(path: str, root: Root = HOST) -> SwapArea | None:
    """Return the active swap area at `path`, by any of its names, or None."""
    for area in active_swaps(root):
        if root.is_same_file(area.path, path):
            return area
    return None


def find_active_at(device: str, page: int, root: Root = HOST) -> SwapArea | None:
    """Return the active swap area that begins at this page of the device, or None."""
    for area in active_swaps(root):
        try:
            place = place_of_area(area, root)
        except (StoreRefusedError, DeviceNotFoundError):
            continue  # a file that was deleted, or has no place of its own
        if place.page == page and root.is_same_device(place.device, device):
            return area
    return None


def place_of_area(area: SwapArea, root: Root = HOST) -> Place:
    """Return the place of an active swap area. Raises as place_of."""
    return Place(area.path, 0) if area.is_partition else place_of(area.path, root)
