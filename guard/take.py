"""Takes the fingerprints of what is mounted, while it is frozen."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from errors import DeviceNotFoundError, cannot
from format.sections.guard import GuardEntry, Method
from guard import sample
from guard.device import Device, new_buffer
from guard.kinds import KINDS, OF_TYPE
from linux import stack
from linux.mounts import Mount, types_on_devices
from linux.root import HOST
from store.locate import find_device, node_of_number

_BTRFS = "/sys/fs/btrfs"


@dataclass(frozen=True, slots=True)
class _Subject:
    device: Device
    method: Method
    identity: bytes
    mount: Mount


class Guarded:
    """The devices of the mounted file systems, open from `open_all` to the end of a `with`."""

    def __init__(self) -> None:
        self._files = ExitStack()
        self._buffer = new_buffer()
        self._subjects: list[_Subject] = []
        self.notes: list[str] = []
        """A line for each file system that the guard cannot wholly see."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._files.close()

    def open_all(self, mounts: list[Mount]) -> None:
        """Open what the mounted file systems lie on, except files (loop) and memory.

        Before the freeze. Raises DeviceNotFoundError, UnreadableError.
        """
        nodes: dict[str, Mount] = {}
        types = types_on_devices()
        for mount in mounts:
            for node in self._nodes(mount, types):
                nodes.setdefault(node, mount)
        for node, mount in nodes.items():
            self._open(node, mount)

    def entries(self) -> Iterator[GuardEntry]:
        """Yield what the resumer is to compare. Raises UnreadableError."""
        return map(_entry, self._subjects)

    def _nodes(self, mount: Mount, types: set[str]) -> Iterator[str]:
        has_number = not mount.device.startswith("0:")
        if mount.fs_type == "btrfs":
            yield from _btrfs_nodes(mount)
        elif has_number and HOST.device_name(mount.device) is None:
            self.notes.append(f"the device of {mount.mount_point} is gone: nothing to compare")
        elif has_number:
            yield _existing(node_of_number(mount.device), mount)
        elif mount.source.startswith("/") and mount.fs_type in types:
            # bcachefs names its devices with colons between
            sources = [mount.source] if find_device(mount.source) else mount.source.split(":")
            yield from filter(find_device, sources)

    def _open(self, node: str, mount: Mount) -> None:
        try:
            device = Device(node, self._buffer)
        except OSError as error:
            raise cannot("open", f"{node}, mounted at {mount.mount_point}", error) from error
        self._files.enter_context(device)
        if not device.is_lasting:
            return
        method = OF_TYPE.get(mount.fs_type, Method.SAMPLE)
        identity = KINDS[method].identify(device.read)
        if identity is None or method is Method.SAMPLE:
            method, identity = Method.SAMPLE, sample.identify(device.read)
            self.notes.append(
                f"{mount.fs_type} on {device.name}, mounted at {mount.mount_point}: "
                "only a sample of it can be compared"
            )
        self._subjects.append(_Subject(device, method, identity, mount))


def _existing(node: str | None, mount: Mount) -> str:
    if node is None:
        raise DeviceNotFoundError(
            f"device {mount.device}, mounted at {mount.mount_point}, has no node in /dev"
        )
    return node


def _btrfs_nodes(mount: Mount) -> Iterator[str]:
    """Yield the nodes of all devices of a file system (fs/btrfs/sysfs.c).

    If the mount names no known device (/dev/root), those of all that are mounted.
    """
    all_of_them = [HOST.names(f"{_BTRFS}/{uuid}/devices") for uuid in HOST.names(_BTRFS)]
    name = _kernel_name(mount.source)
    named = [names for names in all_of_them if name in names]
    names = {name for names in named or all_of_them for name in names}
    if not names:
        raise DeviceNotFoundError(
            f"the devices of the btrfs at {mount.mount_point} are not in {_BTRFS}"
        )
    for name in sorted(names):
        yield f"/dev/{name.replace('!', '/')}"


def _kernel_name(source: str) -> str:
    try:
        return stack.layers(source)[0].name
    except OSError:
        return ""


def _entry(subject: _Subject) -> GuardEntry:
    device = subject.device
    return GuardEntry(
        subject.method,
        subject.identity,
        device.size,
        KINDS[subject.method].fingerprint(device.read, device.size),
        subject.mount.fs_type,
        device.name,
        device.identity,
        subject.mount.mount_point,
    )
