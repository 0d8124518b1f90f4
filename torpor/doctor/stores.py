"""Finds the store that `torpor hibernate` would use, in the same order, and looks at it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from errors import DeviceNotFoundError, StoreRefusedError
from format import PAGE_SIZE
from format.first_page import KERNEL_IMAGE
from linux.swap import SwapArea, parse_swaps
from state.conf import Conf
from state.location import Location
from store import crypttab
from store.header import StoreHeader
from store.place import Place
from torpor.doctor.machine import Machine

_SECTOR = 512
_VOLATILE = {
    "zram": "compressed memory (zram), which a power-off empties",
    "ram": "a disk in memory, which a power-off empties",
    "loop": "a loop device, which no initramfs sets up",
}


class Kind(StrEnum):
    """What a store is."""

    SWAP_PARTITION = "swap partition"
    SWAP_FILE = "swap file"
    STORE_DEVICE = "store device"
    STORE_FILE = "store file"


@dataclass(frozen=True, slots=True)
class Store:
    """A store that is there and can be used."""

    path: str
    kind: Kind
    device: str
    """Name of the block device in /sys/class/block."""
    page: int
    """Where on the device it begins."""
    room: int
    """Bytes that are free in it."""
    header: StoreHeader


def find_store(
    machine: Machine, conf: Conf, parameters: dict[str, str], location: Location | None
) -> Store:
    """Return the store, in the order of hibernate.choose.

    Raises DeviceNotFoundError, StoreRefusedError, OSError.
    """
    if conf.store:
        return _named(machine, conf.store, ", which /etc/torpor.conf names,")
    if spec := parameters.get("resume"):
        offset = parameters.get("resume_offset", "")
        return _at(machine, spec, int(offset) if offset.isdecimal() else 0)
    if location:
        chosen = location.store or location.resume
        return _named(machine, chosen, ", which torpor enable chose,")
    return _largest_swap(machine)


def _swaps(machine: Machine) -> list[SwapArea]:
    return parse_swaps(machine.text("/proc/swaps") or "")


def _named(machine: Machine, spec: str, source: str) -> Store:
    if spec.startswith("/") and os.path.isfile(machine.path(spec)) and not spec.startswith("/dev/"):
        return _open(machine, spec)
    device = machine.device(spec)
    if device is None:
        raise DeviceNotFoundError(f"{spec}{source} is not there", "choose a store: torpor enable")
    return _open(machine, f"/dev/{device.replace('!', '/')}")


def _at(machine: Machine, spec: str, offset: int) -> Store:
    """Return the store on the device that resume= names, or the swap file at an offset of it."""
    if not offset:
        return _named(machine, spec, ", which resume= on the kernel command line names,")
    for area in _swaps(machine):
        if not area.is_partition:
            found = _open(machine, area.path)
            if found.page == offset and found.device == machine.device(spec):
                return found
    raise StoreRefusedError(
        f"no swap file in use begins at page {offset} of {spec}, as resume_offset= on the kernel "
        "command line says",
        "take resume= and resume_offset= off the kernel command line and run: torpor enable",
    )


def _largest_swap(machine: Machine) -> Store:
    areas = sorted(_swaps(machine), key=lambda area: area.used - area.size)
    reasons = []
    for area in areas:
        try:
            return _open(machine, area.path)
        except StoreRefusedError as error:
            reasons.append(str(error))
    raise StoreRefusedError(
        f"there is no swap to hibernate to: {'; '.join(reasons) or 'none is in use'}",
        "swapon a partition or file on a disk, or prepare a store: torpor mkstore",
    )


def _open(machine: Machine, path: str) -> Store:
    """Look at a device or file. Raises StoreRefusedError, OSError."""
    is_device = path.startswith("/dev/")
    place = Place(path, 0) if is_device else machine.place(path)
    device = machine.device(place.device)
    if device is None:
        raise DeviceNotFoundError(f"{place.device} is not there", "choose a store: torpor enable")
    for reason in _losses(machine, device):
        raise StoreRefusedError(
            f"{path} is {reason}",
            "use swap on a disk, or a store (torpor mkstore); encrypted: with LUKS",
        )
    data = bytearray(machine.data(path, PAGE_SIZE) or b"").ljust(PAGE_SIZE, b"\0")
    header = StoreHeader(-1, path, place.page, memoryview(data))
    for area in _swaps(machine):
        if _is_swap(machine, area, path, device if is_device else None):
            kind = Kind.SWAP_PARTITION if is_device else Kind.SWAP_FILE
            return Store(path, kind, device, place.page, area.size - area.used, header)
    if not header.is_store:
        raise _no_store(header)
    kind = Kind.STORE_DEVICE if is_device else Kind.STORE_FILE
    if is_device:
        room = int(machine.line(f"/sys/class/block/{device}/size") or 0) * _SECTOR
    else:
        room = os.stat(machine.path(path)).st_size
    return Store(path, kind, device, place.page, room, header)


def _no_store(header: StoreHeader) -> StoreRefusedError:
    path = header.name
    if header.holds_image():
        return StoreRefusedError(
            f"{path} holds an image, so it is not used as swap",
            f"torpor discard {path} && swapon {path}",
        )
    if header.signature == KERNEL_IMAGE:
        return StoreRefusedError(
            f"{path} holds an image of the kernel's own, so it is not used as swap",
            f"if that is not wanted any more: mkswap -U {header.uuid} {path} && swapon {path}",
        )
    return StoreRefusedError(
        f"{path} is neither swap in use nor a store",
        f"swapon {path} if it is swap; else choose a store: torpor enable",
    )


def _is_swap(machine: Machine, area: SwapArea, path: str, device: str | None) -> bool:
    if device is None or not area.is_partition:
        return area.path == path
    return machine.device(area.path) == device


def _losses(machine: Machine, device: str) -> Iterator[str]:
    """Yield why an image on the device is lost when the machine is off."""
    for name in machine.layers(device):
        kind = name.rstrip("0123456789")
        if kind in _VOLATILE:
            yield _VOLATILE[kind]
        dm_name, dm_uuid = machine.dm(name)
        if dm_uuid.startswith("CRYPT-PLAIN-"):
            line = crypttab.parse(machine.text(crypttab.PATH) or "").get(dm_name)
            if line is None or line.key in crypttab.RANDOM_KEYS:
                yield f"encrypted with a key that {crypttab.PATH} does not keep ({dm_name})"
