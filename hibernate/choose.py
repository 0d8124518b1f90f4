"""Which store to hibernate to, and whether the next boot will find it."""

import os
from dataclasses import dataclass

from errors import DeviceNotFoundError, NoSpaceError, StoreRefusedError
from linux import cmdline, swap
from linux.memory import expected_image
from state.conf import Conf
from state.location import Location
from store.base import Store
from store.device import DeviceStore
from store.file_store import FileStore
from store.locate import find_device
from store.place import Place, place_of
from store.swap import SwapStore, find_active, find_active_at, place_of_area
from store.volatile import refuse_volatile

LEAST_RATIO = 8
"""LZ4 makes memory to about a half; what would not fit at an eighth is not tried."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What says where the store is, besides --store."""

    conf: Conf
    command_line: str
    location: Location | None


def choose_store(name: str | None, settings: Settings) -> str:
    """Return the path of the store, a device or a file.

    The one named, else the configuration's, else the kernel command line's, else what torpor
    enable chose, else the largest swap. Raises DeviceNotFoundError, StoreRefusedError.
    """
    if name:
        return _path_of(name, "")
    if settings.conf.store:
        return _path_of(settings.conf.store, ", which torpor.conf names,")
    if (asked := _asked(settings.command_line)) and asked[0]:
        return _path_at(*asked)
    if settings.location:
        chosen = settings.location.store or settings.location.resume
        return _path_of(chosen, ", which torpor enable chose,")
    return largest_swap(swap.active_swaps())


def _asked(command_line: str) -> tuple[str, int]:
    """Return resume= and resume_offset= of a kernel command line."""
    parameters = cmdline.parse(command_line)
    offset = parameters.get("resume_offset", "")
    return parameters.get("resume", ""), int(offset) if offset.isdecimal() else 0


def _path_of(spec: str, source: str) -> str:
    if os.path.isfile(spec):
        return spec
    path = find_device(spec)
    if path is None:
        raise DeviceNotFoundError(f"{spec}{source} is not there")
    return path


def _path_at(spec: str, offset: int) -> str:
    """Return the device, or the swap file that begins at this page of it."""
    path = _path_of(spec, ", which resume= on the kernel command line names,")
    if not offset:
        return path
    if area := find_active_at(path, offset):
        return area.path
    raise StoreRefusedError(
        f"no swap file in use begins at page {offset} of {path}, as resume_offset= says",
        "take resume= and resume_offset= off the kernel command line and run: torpor enable",
    )


def largest_swap(areas: list[swap.SwapArea]) -> str:
    """Return the path of the swap with the most room of those that keep an image.

    Raises StoreRefusedError with the reasons why none does.
    """
    reasons = []
    for area in sorted(areas, key=lambda area: area.used - area.size):
        try:
            refuse_volatile(place_of_area(area).device, area.path)
        except (StoreRefusedError, DeviceNotFoundError) as error:
            reasons.append(str(error))
        else:
            return area.path
    raise StoreRefusedError(
        f"no swap to hibernate to: {'; '.join(reasons) or 'none is in use'}",
        "swapon a partition or file on a disk, or prepare a store: torpor mkstore",
    )


def other_swaps(store: str) -> list[str]:
    """Return the swap areas on disks that are on besides the store: the machine is there, too."""
    areas = [area.path for area in swap.active_swaps()]
    used = find_active(store)
    return [
        path
        for path in areas
        if not (used and path == used.path) and not os.path.basename(path).startswith("zram")
    ]


def open_store(path: str) -> Store:
    """Open the store at `path`. Raises StoreRefusedError, DeviceNotFoundError, UnreadableError."""
    area = find_active(path)
    if area is not None:
        return SwapStore(area)
    return FileStore(path) if os.path.isfile(path) else DeviceStore(path)


def check_room(store: Store, image_size: int) -> None:
    """Raise NoSpaceError if an image cannot be hoped to fit; `image_size` is the most, in bytes."""
    expected = expected_image(image_size)
    if store.size * LEAST_RATIO < expected:
        raise NoSpaceError(
            f"no room on {store.name}: {store.size >> 20} MiB for an image of about "
            f"{expected >> 20} MiB before compression",
            "use a larger store, close programs, or make the image smaller with --image-size",
        )


def check_found(path: str, settings: Settings) -> str:
    """Return a warning if the next boot may not find the store at `path`, "" if it will.

    Raises StoreRefusedError if it cannot: nothing tells it where a file lies.
    """
    place = place_of(path)
    spec, offset = _asked(settings.command_line)
    if spec:
        if _names(spec, offset, place):
            return ""
        return f"resume= on this boot's kernel command line does not name {path}"
    location = settings.location
    if location and _names(location.resume, location.offset, place):
        return ""
    if place.page:
        raise StoreRefusedError(
            f"the initramfs does not know where {path} lies (page {place.page} of {place.device})",
            f"run: torpor enable --store {path}",
        )
    return f"nothing tells the next boot to wait for {path}"


def _names(spec: str, offset: int, place: Place) -> bool:
    found = find_device(spec)
    return found is not None and offset == place.page and os.path.samefile(found, place.device)
