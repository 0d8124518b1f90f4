"""Takes the fingerprints of what is mounted, while it is frozen."""

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from typing import NamedTuple

from errors import Attempt, DeviceNotFoundError, KernelRefusedError, command
from format.tables import GuardEntry, Method
from guard.device import Device, Read, new_buffer
from guard.kinds import KINDS, recognize
from guard.part import Part, shown_by
from linux import stack
from linux.mounts import Mount, MountTable, file_systems
from linux.root import HOST
from store.locate import node_of_number


class _Subject(NamedTuple):
    method: Method
    identity: bytes
    part: Part
    mounted: Device
    fs_type: str
    place: str
    """Where it is mounted."""
    is_served: bool = False


class Guarded(ExitStack):
    """The devices of the mounted file systems, open from `open_all` to the end of a `with`."""

    def __init__(self, unguarded: Collection[str] = ()) -> None:
        """`unguarded` are types of file systems of which a sample will do, writable or not."""
        super().__init__()
        self._unguarded = unguarded
        self._buffer = new_buffer()
        self._root = HOST
        self._subjects: list[_Subject] = []
        self.notes: list[str] = []
        """A line for each file system that the guard cannot wholly see."""

    def open_all(self, table: MountTable) -> None:
        """Open what the mounted file systems lie on, but for files (loop) and memory.

        Before the freeze. Raises DeviceNotFoundError, UnreadableError, and KernelRefusedError for
        one that is writable, and of which only a sample can be compared.
        """
        self._root = table.root
        nodes: dict[str, Mount] = {}
        for mount, *_ in file_systems(table.mounts):
            for node in self._nodes(mount, table):
                nodes.setdefault(node, mount)
        for node, mount in nodes.items():
            self._open(node, mount)

    def open_swap(self, paths: Collection[str]) -> None:
        """Open the devices among these paths of swap and stores; a file lies on what is mounted.

        Before the freeze. Raises UnreadableError.
        """
        for path in dict.fromkeys(paths):
            number = self._root.device_number(path)
            if number is None or not stack.is_lasting(number, self._root):
                continue
            device = self._opened(path, "swap or a store")
            part = Part(device, 0, device.size)
            if (identity := KINDS[Method.SWAP].identify(part.read)) is not None:
                self._subjects.append(_Subject(Method.SWAP, identity, part, device, "swap", path))

    def entries(self, progress: Callable[[], None]) -> Iterator[GuardEntry]:
        """Yield what the resumer is to compare. Raises UnreadableError, and what `progress` does.

        That is told before each read: of a large device there are many.

        What a process serves cannot be frozen (fuseblk). The process has stopped by now, and what
        it wrote after the sync is in the page cache of the device.
        """
        for method, identity, part, mounted, fs_type, place, is_served in self._subjects:
            if is_served:
                mounted.sync()
            device = part.device
            fingerprint = KINDS[method].fingerprint(_telling(progress, part.read), part.size)
            names = (fs_type, device.name, device.identity, place)
            layers = part.layers(self._root, self._buffer)
            yield GuardEntry(method, identity, device.size, fingerprint, *names, layers)

    def _nodes(self, mount: Mount, table: MountTable) -> Iterator[str]:
        place, numbers = mount.mount_point, table.devices_below(mount)
        if not numbers and mount.fs_type == "btrfs":
            raise DeviceNotFoundError(f"the devices of the btrfs at {place} are not known")
        if not numbers and table.is_on_device(mount):
            self.notes.append(f"the device of {place} is not known: nothing to compare")
        for path in mount.beside:
            if table.root.device_number(path) is None:
                raise DeviceNotFoundError(
                    f"{path}, a part of the {mount.fs_type} at {place}, is gone"
                )
        for number in numbers:
            if table.root.device_name(number) is None:
                self.notes.append(f"the device of {place} is gone: nothing to compare")
            elif node := node_of_number(number, table.root):
                yield node
            else:
                raise DeviceNotFoundError(
                    f"device {number}, mounted at {place}, has no node in /dev"
                )

    def _open(self, node: str, mount: Mount) -> None:
        use = f"mounted at {mount.mount_point}"
        mounted = self._opened(node, use)
        if not stack.is_lasting(mounted.number, self._root):
            return
        shown = shown_by(node, self._root)
        device = mounted if shown.node == node else self._opened(shown.node, use)
        for layer in stack.layers_of(device.number, self._root):
            if stack.loop_of(layer.name):
                raise KernelRefusedError(
                    f"{mount.mount_point} lies on {device.name}, and that on a loop device, "
                    f"/dev/{layer.name}, which no boot sets up: there would be nothing to compare",
                    f"unmount it before you hibernate: {command('umount', mount.mount_point)}",
                )
        part = Part(device, shown.offset, mounted.size)
        method, identity = recognize(mount.fs_type, part.read)
        if method is Method.SAMPLE and mount.is_writable and not _is_beside(mounted, mount):
            self._admit_sample(device, mount)
        names = (mount.fs_type, mount.mount_point, mount.is_served)
        self._subjects.append(_Subject(method, identity, part, mounted, *names))

    def _opened(self, node: str, use: str) -> Device:
        with Attempt("open", f"{node}, {use}"):
            device = Device(node, self._buffer, self._root)
        return self.enter_context(device)

    def _admit_sample(self, device: Device, mount: Mount) -> None:
        what = (
            f"{mount.fs_type} on {device.name}, mounted at {mount.mount_point}: only a sample of "
            "it can be compared"
        )
        if mount.fs_type not in self._unguarded:
            raise KernelRefusedError(
                f"{what}, and what another system writes to it may not be seen",
                f"say unguarded-file-systems = {mount.fs_type} in /etc/torpor.conf, or unmount it "
                f"before you hibernate: {command('umount', mount.mount_point)}",
            )
        self.notes.append(what)


def _telling(progress: Callable[[], None], read: Read) -> Read:
    def tell_and_read(offset: int, size: int) -> bytes:
        progress()
        return read(offset, size)

    return tell_and_read


def _is_beside(device: Device, mount: Mount) -> bool:
    """Return whether it is a realtime device of XFS: what is written there shows in the log."""
    return mount.fs_type == "xfs" and device.number != mount.device
