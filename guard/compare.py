"""Finds the devices of the image's file systems again, and compares their fingerprints."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import cache, partial
from itertools import zip_longest

from errors import ChangedError, UnreadableError
from format.pipeline import PageBuffer
from format.tables import GuardEntry, Method
from guard.device import Device, new_buffer, read_bytes
from guard.kinds import KINDS
from guard.part import Part
from linux.block import size_of
from linux.root import HOST, Root
from store.locate import whole_devices

_HOLDERS = (Method.EXT, Method.XFS, Method.BTRFS)
"""Of the file systems that may hold a store's file, in an order in which what tells one lies where
none before it has a user's data: btrfs has its superblock at 64 KiB."""

_SHOWN = 100
"""Characters of a layer in a message."""


def compare(entries: list[GuardEntry], wait: Callable[[], bool], root: Root = HOST) -> None:
    """Return once the file system of each entry was found, unchanged and where it was.

    Swap that is not there is not waited for: a restored kernel has it, whatever the boot opens.
    `wait` blocks until devices may have come, and returns False when time is over. Raises
    ChangedError at the first one that has changed, or when one has not come in time, and
    UnreadableError.
    """
    buffer = new_buffer()
    missing = entries
    while True:
        looked_for = missing
        with ExitStack() as files:
            devices = list(_open_devices(missing, buffer, files, root))
            there = _There(devices, buffer, root)
            missing = [entry for entry in missing if not there.has(entry)]
        awaited = [entry for entry in missing if entry.method is not Method.SWAP]
        if not awaited:
            if looked_for is entries:
                return
            missing = entries  # what came meanwhile may be the original of a copy
            continue
        if not wait():
            entry, *_ = awaited
            or_changed = ", or has changed" if entry.method is Method.SAMPLE else ""
            raise ChangedError(
                f"the {entry.file_system} of {entry.mount_point}, on {entry.device} then, "
                f"is not there{or_changed}"
            )


def is_held(fd: int, name: str, entries: list[GuardEntry]) -> bool:
    """Return whether one of the entries is of the file system on this open device.

    Raises UnreadableError.
    """
    read, size = partial(read_bytes, fd, name, new_buffer().view), size_of(fd)
    found = ((method, KINDS[method].identify(read)) for method in _HOLDERS)
    is_there = next((each for each in found if each[1] is not None), None)
    return any(
        entry.device_size == size and (entry.method, entry.identity) == is_there
        for entry in entries
    )


def _open_devices(
    entries: list[GuardEntry], buffer: PageBuffer, files: ExitStack, root: Root
) -> Iterator[Device]:
    """Yield the devices of a size that one of the entries has, open until `files` is closed.

    A device that whole_devices leaves out, such as a drive with a medium, counts if it is named.
    Each comes once, whatever names its node has.
    """
    sizes = {entry.device_size for entry in entries}
    named = [entry.device for entry in entries if entry.device.startswith("/dev/")]
    there = [path for path in named if root.device_number(path)]
    nodes: dict[str | None, str] = {}
    for path in dict.fromkeys([*whole_devices(root), *there]):
        nodes.setdefault(root.device_number(path), path)
    for path in nodes.values():
        with suppress(OSError), ExitStack() as opened:
            device = opened.enter_context(Device(path, buffer, root))
            if device.size in sizes:
                files.push(opened.pop_all())
                yield device


class _There:
    """The devices that are there now; of each one nothing is read twice."""

    def __init__(self, devices: list[Device], buffer: PageBuffer, root: Root) -> None:
        self._devices = devices
        self._identity = cache(_identity)
        self._fingerprint = cache(_fingerprint)
        self._layers = cache(lambda part: part.layers(root, buffer))

    def has(self, entry: GuardEntry) -> bool:
        """Return True if the entry's device is there and unchanged, False if it is not there.

        Raises ChangedError if it has changed, or if a copy of it has: the kernel may take either.
        A changed sample cannot be told from an absent device.
        """
        parts = (Part.recorded(device, entry.layers) for device in self._devices)
        found = [part for part in parts if self._is_like(entry, part)]
        if entry.method is Method.SAMPLE:
            return any(
                self._is_same(entry, part) and self._layers(part) == entry.layers for part in found
            )
        for part in found:
            if not self._is_same(entry, part):
                is_swap = entry.method is Method.SWAP
                raise ChangedError(
                    f"the {entry.file_system} of {entry.mount_point}, on {part.device.name}, has "
                    "changed since the image was made: "
                    f"{'mkswap has run' if is_swap else 'it was mounted or repaired'}"
                )
        moved = [_difference(entry.layers, self._layers(part)) for part in found]
        if all(moved) and moved:
            raise ChangedError(
                f"the {entry.file_system} of {entry.mount_point} lies elsewhere than when the "
                f"image was made: {moved[0]}"
            )
        return bool(found)

    def _is_like(self, entry: GuardEntry, part: Part) -> bool:
        device = part.device
        if device.size != entry.device_size or entry.device_identity not in ("", device.identity):
            return False
        return self._identity(part, entry.method) == entry.identity

    def _is_same(self, entry: GuardEntry, part: Part) -> bool:
        return self._fingerprint(part, entry.method) == entry.fingerprint


def _identity(part: Part, method: Method) -> bytes | None:
    try:
        return KINDS[method].identify(part.read)
    except UnreadableError:
        return None  # perhaps another device


def _fingerprint(part: Part, method: Method) -> bytes:
    return KINDS[method].fingerprint(part.read, part.size)


def _difference(then: str, now: str) -> str:
    """Return the first layer that differs, as it was and is; "" for none."""
    for one, other in zip_longest(then.splitlines(), now.splitlines(), fillvalue="nothing"):
        if one != other:
            return f"{_short(other)}, then {_short(one)}"
    return ""


def _short(line: str) -> str:
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"
