"""Which store to hibernate to: hibernate, enable and doctor ask here, and look the same way.

Nothing is opened for writing: whoever hibernates opens what was found here (store/find.py).
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from errors import (
    ConfigurationError,
    DeviceNotFoundError,
    NoSpaceError,
    StoreRefusedError,
    TorporError,
    command,
)
from linux import cmdline
from linux.installation import machine_id
from linux.mounts import active_swaps
from linux.root import HOST, Root
from s3.scheme import is_server
from state.conf import Conf
from state.location import PATH as LOCATION
from state.location import Location, named_location
from state.sealing import PATH as SEALING
from store.find import Found, find_active_at, look_at
from store.locate import find_device, is_external, name_of
from store.place import Place, place_of

LEAST_RATIO = 8
"""LZ4 makes memory to about a half; what would not fit at an eighth is not tried."""

_CONF = "/etc/torpor.conf"
_LOADER = "the boot loader's configuration"
_CORRECT = f"correct it in {_LOADER}, or take it off there, and boot again"


class Settings(NamedTuple):
    """What says where the store is, besides --store."""

    conf: Conf
    command_line: str
    location: Location | None

    @property
    def named(self) -> Location | None:
        """What resume= on the kernel command line names. Raises ConfigurationError."""
        return named_location(cmdline.parse(self.command_line))


def choose_store(named: str | None, settings: Settings, root: Root = HOST) -> Found:
    """Return the store.

    The one named, else the configuration's, else the kernel command line's, else what torpor
    enable chose, else the largest swap. Raises DeviceNotFoundError, StoreRefusedError,
    UnreadableError.
    """
    location = settings.location
    if named:
        return look_at(_path_of(named, "", "name one that is there", root), root)
    if settings.conf.store:
        remedy = f"correct store = in {_CONF}, or take the line out"
        path = _path_of(settings.conf.store, f", which {_CONF} names,", remedy, root)
        return _look_at(path, remedy, root)
    if named_at := settings.named:
        return _look_at(_path_at(named_at, location, root), _CORRECT, root)
    if location:
        chosen = location.store or location.resume
        remedy = "choose another: torpor enable --store STORE"
        path = _path_of(chosen, ", which torpor enable chose,", remedy, root)
        return _look_at(path, remedy, root)
    return largest_swap(root)


def _look_at(path: str, remedy: str, root: Root) -> Found:
    """Return the store; `remedy` is for what can never be one."""
    try:
        return look_at(path, root)
    except StoreRefusedError as error:
        raise StoreRefusedError(str(error), error.hint or remedy) from error


def _path_of(spec: str, source: str, remedy: str, root: Root) -> str:
    if is_server(spec):
        return spec
    if os.path.isfile(root.path(spec)) and spec.startswith("/") and not spec.startswith("/dev/"):
        return spec
    try:
        path = find_device(spec, root)
    except DeviceNotFoundError as error:
        message = f"{error}{source}".rstrip(",")
        raise DeviceNotFoundError(message, f"{error.hint}; {remedy}") from None
    if path is None:
        raise DeviceNotFoundError(f"{spec}{source} is not there", remedy)
    return path


def _path_at(named: Location, kept: Location | None, root: Root) -> str:
    """Return what resume= names: a device, or the file that begins at resume_offset= of it."""
    source = ", which resume= on the kernel command line names,"
    path = _path_of(named.resume, source, _CORRECT, root)
    if is_server(path) or not named.offset:
        return path
    if area := find_active_at(path, named.offset, root):
        return area.path
    with suppress(TorporError):
        if kept and kept.store and _is_at(place_of(kept.store, root), path, named.offset, root):
            return kept.store
    raise StoreRefusedError(
        f"no swap file in use begins at page {named.offset} of {path}, as resume_offset= on the "
        "kernel command line says",
        f"take resume= and resume_offset= off {_LOADER}, boot again, and run: torpor enable",
    )


def _is_at(place: Place, device: str, page: int, root: Root) -> bool:
    return place.page == page and root.is_same_device(place.device, device)


def largest_swap(root: Root = HOST) -> Found:
    """Return the swap with the most room of those that can hold an image.

    Raises StoreRefusedError with the reasons why none can.
    """
    reasons = []
    for area in sorted(active_swaps(root), key=lambda area: area.used - area.size):
        try:
            return look_at(area.path, root)
        except (StoreRefusedError, DeviceNotFoundError) as error:
            reasons.append(str(error))
    raise StoreRefusedError(
        f"no swap to hibernate to: {'; '.join(reasons) or 'none is in use'}",
        "swapon a partition or file on a disk, or prepare a store: torpor mkstore",
    )


def other_swaps(store: Found, root: Root = HOST) -> list[str]:
    """Return the swap areas on disks that are on besides the store: the machine is there, too."""
    return [
        area.path
        for area in active_swaps(root)
        if area != store.area and not os.path.basename(area.path).startswith("zram")
    ]


def check_room(path: str, room: int, expected: int) -> None:
    """Raise NoSpaceError if an image of about so many bytes cannot be hoped to fit."""
    if room * LEAST_RATIO < expected:
        raise NoSpaceError(
            f"{path} has {room >> 20} MiB for an image of about {expected >> 20} MiB before "
            "compression: it will not fit",
            "use a larger store, close programs, or make the image smaller with --image-size",
        )


class Doubt(NamedTuple):
    """Why the next boot may not find the store."""

    message: str
    remedy: str
    is_certain: bool = False
    """Whether it cannot find the store, if its command line is this one's."""
    enabling: str = ""
    """What torpor enable would do about it, where it has not been run."""


def doubts(store: Found, settings: Settings, root: Root = HOST) -> Iterator[Doubt]:
    """Yield why the next boot may not find the store, if its command line is this one's."""
    word = cmdline.forbids_resume(cmdline.parse(settings.command_line))
    if word.endswith("noresume"):  # with the others this kernel takes no snapshot, either
        # Not certain: it is the way out of an image, put there by hand for one boot.
        yield Doubt(
            f"the kernel command line has {word}: a boot with it throws the image away",
            f"take it off {_LOADER}, and boot again",
        )
    yield from _in_the_clear(store, root)
    enable = f"run: {command('torpor', 'enable', '--store', store.path)}"
    try:
        named = settings.named
    except ConfigurationError as error:
        yield Doubt(str(error), error.hint, store.has_to_be_told)  # it looks in page 0
        return
    is_chosen = settings.location is not None and settings.location.is_external
    is_stray = bool(not is_chosen and store.place and is_external(store.place.device, root))
    if is_stray:
        yield Doubt(
            f"{store.path} is on a removable or external device, and the next boot takes no image "
            "from one that torpor enable has not chosen",
            enable,
            is_certain=True,
            enabling=f"have the next boot take an image from {store.path}",
        )
    if named:
        if reason := _differs(store, named, root):
            right = location_of(store, root).parameters
            yield Doubt(
                f"resume={named.resume} on the kernel command line {reason}",
                f"take it off {_LOADER}, boot again, and {enable}; or say there: {right}",
                is_certain=True,
            )
    elif kept := settings.location:
        here = machine_id(root)
        if reason := _differs(store, kept, root):
            yield Doubt(f"{LOCATION} {reason}", enable, is_certain=True)
        elif kept.machine_id and here and kept.machine_id != here:
            yield Doubt(f"{LOCATION} is another installation's: machine_id", enable)
    elif not is_stray:
        message = f"nothing tells the next boot where {store.path} is"
        enabling = f"tell the next boot where {store.path} is"
        yield Doubt(message, enable, store.has_to_be_told, enabling)


def _in_the_clear(store: Found, root: Root) -> Iterator[Doubt]:
    """Yield that the image would leave the machine in the clear, which it never does."""
    if store.place is None and not root.exists(SEALING):
        yield Doubt(
            f"images are not sealed, and only a sealed one goes to a server like {store.path}",
            "have images sealed: torpor enable --seal passphrase; torpor(8) has other keys",
            is_certain=True,
        )


def _differs(store: Found, told: Location, root: Root) -> str:
    """Return what is wrong with the place that a boot is told of, "" if it is the store's."""
    place = store.place
    if place is None or is_server(told.resume):
        return "" if told.resume == store.path else f"names {told.resume}, not {store.path}"
    try:
        device = find_device(told.resume, root)
    except DeviceNotFoundError as error:
        return f"is wrong: {error}"
    if device is None:
        return f"names nothing that is there, {told.resume}: each boot waits for it"
    if not root.is_same_device(device, place.device):
        return f"names {device}, but the store {store.path} is on {place.device}"
    if told.offset != place.page:
        return f"says page {told.offset}, but {store.path} begins at page {place.page}"
    return ""


def location_of(store: Found, root: Root = HOST) -> Location:
    """Return the store as a boot finds it."""
    if store.place is None:
        return Location(store.path, machine_id=machine_id(root))
    name = os.path.abspath(store.path) if store.place.page else ""
    device, page = store.place.device, store.place.page
    is_foreign = is_external(device, root)
    return Location(name_of(device, root), page, machine_id(root), name, is_foreign)
