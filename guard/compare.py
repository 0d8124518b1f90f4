"""Finds the devices of the image's file systems again, and compares their fingerprints."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

from errors import ChangedError, UnreadableError
from format.pipeline import PageBuffer
from format.tables import GuardEntry, Method
from guard.device import Device, new_buffer
from guard.kinds import KINDS
from linux.root import HOST, Root
from store.locate import find_device, whole_devices


def compare(entries: list[GuardEntry], wait: Callable[[], bool], root: Root = HOST) -> None:
    """Return once the file system of each entry was found, unchanged.

    `wait` blocks until devices may have come, and returns False when time is over. Raises
    ChangedError at the first one that has changed, or when one has not come in time, and
    UnreadableError.
    """
    buffer = new_buffer()
    missing = entries
    while True:
        with ExitStack() as files:
            devices = list(_open_devices(missing, buffer, files, root))
            missing = [entry for entry in missing if not _is_unchanged(entry, devices)]
        if not missing:
            return
        if not wait():
            raise ChangedError(_absence(missing[0]))


def _open_devices(
    entries: list[GuardEntry], buffer: PageBuffer, files: ExitStack, root: Root
) -> Iterator[Device]:
    """Yield the devices of a size that one of the entries has, open until `files` is closed.

    A device that whole_devices leaves out, such as a drive with a medium, counts if it is named.
    """
    sizes = {entry.device_size for entry in entries}
    named = [entry.device for entry in entries if entry.device.startswith("/dev/")]
    there = [path for path in named if find_device(path, root)]
    for path in dict.fromkeys([*whole_devices(root), *there]):
        with suppress(OSError):
            device = files.enter_context(Device(path, buffer, root))
            if device.size in sizes:
                yield device


def _is_unchanged(entry: GuardEntry, devices: list[Device]) -> bool:
    """Return True if the entry's device is there and unchanged, False if it is not there.

    Raises ChangedError if it has changed. A changed sample cannot be told from an absent device.
    """
    fingerprint = KINDS[entry.method].fingerprint
    found = _choose(entry, [device for device in devices if _is_like(entry, device)])
    for device in found:
        is_same = fingerprint(device.read, device.size) == entry.fingerprint
        if entry.method is Method.SAMPLE:
            if is_same:
                return True
        elif not is_same:
            raise ChangedError(
                f"the {entry.file_system} of {entry.mount_point}, on {device.name}, has changed "
                "since the image was made: it was mounted or repaired"
            )
    return bool(found) and entry.method is not Method.SAMPLE


def _is_like(entry: GuardEntry, device: Device) -> bool:
    if device.size != entry.device_size:
        return False
    if entry.device_identity and device.identity != entry.device_identity:
        return False
    try:
        return KINDS[entry.method].identify(device.read) == entry.identity
    except UnreadableError:
        return False  # perhaps another device


def _choose(entry: GuardEntry, found: list[Device]) -> list[Device]:
    """Return which of several of one identity count: the one with the entry's name, else all."""
    if entry.method is Method.SAMPLE:
        return found
    return [device for device in found if device.name == entry.device] or found


def _absence(entry: GuardEntry) -> str:
    what = f"the {entry.file_system} of {entry.mount_point}, on {entry.device} then, is not there"
    return f"{what}, or has changed" if entry.method is Method.SAMPLE else what
