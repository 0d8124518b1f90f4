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
            entry, *_ = missing
            or_changed = ", or has changed" if entry.method is Method.SAMPLE else ""
            raise ChangedError(
                f"the {entry.file_system} of {entry.mount_point}, on {entry.device} then, "
                f"is not there{or_changed}"
            )


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
    found = [device for device in devices if _is_like(entry, device)]
    if entry.method is Method.SAMPLE:
        return any(_is_same(entry, device) for device in found)
    # Of several of one identity the one with the entry's name counts, else all.
    found = [device for device in found if device.name == entry.device] or found
    for device in found:
        if not _is_same(entry, device):
            raise ChangedError(
                f"the {entry.file_system} of {entry.mount_point}, on {device.name}, has changed "
                "since the image was made: it was mounted or repaired"
            )
    return bool(found)


def _is_same(entry: GuardEntry, device: Device) -> bool:
    return KINDS[entry.method].fingerprint(device.read, device.size) == entry.fingerprint


def _is_like(entry: GuardEntry, device: Device) -> bool:
    if device.size != entry.device_size or entry.device_identity not in ("", device.identity):
        return False
    try:
        return KINDS[entry.method].identify(device.read) == entry.identity
    except UnreadableError:
        return False  # perhaps another device
