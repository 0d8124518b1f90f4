"""What is mounted (proc(5), mountinfo), on which block devices, above which paths; active swap."""

import errno
import os
import select
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property, lru_cache
from typing import NamedTuple

from linux import proc, stack
from linux.block import decode_device
from linux.proc import lines, unescaped
from linux.root import HOST, Root

_OURS = "/proc/self/mountinfo"
_BTRFS = "/sys/fs/btrfs"
_EXT = struct.Struct("<1024x224xII")
"""Inode of the journal, or 0, and the number of its device: s_journal_inum, s_journal_dev in
fs/ext4/ext4.h, struct ext4_super_block."""


class Mount(NamedTuple):
    """One line of mountinfo."""

    mount_id: int
    device: str
    """MAJOR:MINOR of the file system; major 0 where no block device is below, or on btrfs."""
    mount_point: str
    fs_type: str
    source: str
    root: str = "/"
    """The folder of the file system that is mounted; of a bind mount and on btrfs another one."""
    options: str = ""
    """Those of the file system, with commas between."""

    @property
    def is_writable(self) -> bool:
        """Whether the file system may be written to; a mount of it may be read-only besides."""
        return "ro" not in self.options.split(",")

    @property
    def beside(self) -> list[str]:
        """The paths of further devices that its options name: a log and realtime device of XFS."""
        if self.fs_type != "xfs":
            return []
        options = dict(word.partition("=")[::2] for word in self.options.split(","))
        return [options[name] for name in ("logdev", "rtdev") if name in options]

    @property
    def is_served(self) -> bool:
        """Whether a process serves it: fuse, fuseblk, and what is named after them."""
        return self.fs_type.startswith("fuse")


FileSystem = list[Mount]
"""All mounts of one file system."""


def parse_mounts(text: str) -> list[Mount]:
    """Return the mounts in `text`, the contents of a mountinfo, in order of mounting.

    A line that cannot be understood is left out.
    """
    mounts = []
    for line in lines(text):
        with suppress(ValueError):
            mounts.append(_mount(line))
    return mounts


def _mount(line: str) -> Mount:
    """Return what a line says (fs/proc_namespace.c, show_mountinfo). Raises ValueError."""
    left, _, right = line.partition(" - ")
    mount_id, _, device, root, mount_point, *_ = left.split(" ")
    fs_type, source, *options = right.split(" ")
    major, minor = map(int, device.split(":"))
    names = [mount_point, fs_type, source, root, *options[:1]]
    if "\\" in line:
        names = [unescaped(name) for name in names]
    return Mount(int(mount_id), f"{major}:{minor}", *names)


def read_mounts(root: Root = HOST) -> list[Mount]:
    """Return what is mounted in the system, [] where it does not say. Raises OSError."""
    if not root.root:
        return _ours(os.getpid()).read()
    return parse_mounts(os.fsdecode(root.data(_OURS) or b""))


class _Ours:
    """What is mounted in our namespace, read again only where something was mounted since.

    Many ask one after the other, and there may be 100,000 mounts (fs.mount-max).
    """

    def __init__(self) -> None:
        self._fd = os.open(_OURS, os.O_RDONLY | os.O_CLOEXEC)
        self._changed = select.poll()
        self._changed.register(self._fd, select.POLLPRI)
        self._mounts: list[Mount] | None = None

    def read(self) -> list[Mount]:
        """Return all mounts. Raises OSError."""
        # The kernel tells each open file once of a change (fs/proc_namespace.c, mounts_poll).
        if self._changed.poll(0) or self._mounts is None:
            self._mounts = parse_mounts(proc.read(_OURS))
        return [*self._mounts]


@lru_cache(maxsize=1)
def _ours(_pid: int) -> _Ours:
    """Return that of a process: if it shared one with its parent, either would miss a change."""
    return _Ours()


def mounts_of(pid: int) -> list[Mount]:
    """Return the mounts that a process sees. Raises OSError, as once it has ended."""
    return parse_mounts(proc.read(f"/proc/{pid}/mountinfo"))


def mount_id_of(fd: int | str, process: int | str = "self") -> int:
    """Return the mount that `fd` was opened on (proc(5), fdinfo). Raises OSError."""
    path = f"/proc/{process}/fdinfo/{fd}"
    for line in lines(proc.read(path)):
        if line.startswith("mnt_id:"):
            return int(line.split()[1])
    raise OSError(f"{path} has no mnt_id")


def open_mount(mount: Mount, flags: int) -> int:
    """Open what is mounted, at its mount point. Raises OSError, also where another mount hides it.

    For reading, with `flags` besides.
    """
    fd = os.open(mount.mount_point, flags | os.O_RDONLY | os.O_CLOEXEC)
    if mount_id_of(fd) != mount.mount_id:
        os.close(fd)
        raise FileNotFoundError(errno.ENOENT, "hidden by another mount", mount.mount_point)
    return fd


def file_systems(mounts: Iterable[Mount]) -> list[FileSystem]:
    """Return the mounts of each file system, in the order of the first of them."""
    found: dict[str, FileSystem] = {}
    for mount in mounts:
        found.setdefault(mount.device, []).append(mount)
    return list(found.values())


class MountTable:
    """What is mounted in a system, and what is below and above it."""

    def __init__(self, mounts: Sequence[Mount], root: Root = HOST) -> None:
        """`mounts` in order of mounting, of the system below `root`."""
        self.mounts = mounts
        self.root = root
        # Of several mounts at one place the last one hides the others.
        self._at = {mount.mount_point.rstrip("/"): mount for mount in mounts}
        self._below: dict[tuple[str, ...], list[str]] = {}
        """What was found of each file system, which may be mounted at any number of places."""

    def mount_above(self, path: str) -> Mount | None:
        """Return the mount at a path or nearest above it, as far as the path says.

        None for none, and for what is no absolute path.
        """
        if not path.startswith("/"):
            return None
        path = path.rstrip("/")
        while path and path not in self._at:
            path = path.rpartition("/")[0]
        return self._at.get(path)

    @cached_property
    def _types(self) -> set[str]:
        """The types of file systems that need a block device (fs/filesystems.c)."""
        found = lines(proc.read(self.root.path("/proc/filesystems")))
        return {line.strip() for line in found if not line.startswith("nodev")}

    def is_on_device(self, mount: Mount) -> bool:
        """Return whether the file system needs a block device; a process may serve it (fuseblk).

        The source of another one's mount is any text that whoever mounted it liked, and a user may
        mount a tmpfs in a namespace of their own. Raises OSError.
        """
        return not mount.device.startswith("0:") or mount.fs_type in self._types

    def devices_below(self, mount: Mount) -> list[str]:
        """Return the numbers MAJOR:MINOR of all block devices that the file system lies on."""
        key = mount.device, mount.fs_type, mount.source, mount.options
        if key not in self._below:
            self._below[key] = [*self.main_devices(mount), *self._beside(mount)]
        return self._below[key]

    def main_devices(self, mount: Mount) -> list[str]:
        """Return the numbers MAJOR:MINOR of those that it is mounted from: without journals.

        Of a bind mount or a subvolume as of the whole. None for what is on no device: memory, the
        network, processes (fuse), overlays, ZFS. A device that is gone keeps its number. A bcachefs
        has the number of one of its devices (fs/bcachefs/fs.c, bch2_fs_get_tree), and is on all
        that its source names, with colons between; a btrfs is on all that are known of one that has
        the source or, where that is no device (/dev/root), of what is mounted there; if nobody can
        ask that, of all btrfs.
        """
        own = [] if mount.device.startswith("0:") else [mount.device]
        if not self.is_on_device(mount) or (own and mount.fs_type != "bcachefs"):
            return own
        if mount.fs_type == "btrfs":
            return self._btrfs_devices(mount)
        sources = [mount.source] if self._number(mount.source) else mount.source.split(":")
        found = filter(None, map(self._number, sources))
        return list(dict.fromkeys([*own, *found]))

    def _beside(self, mount: Mount) -> Iterator[str]:
        """Yield further devices of a file system: an external journal, a log, a realtime device."""
        if mount.device.startswith("0:"):
            return
        yield from filter(None, map(self._number, mount.beside))
        if mount.fs_type in ("ext3", "ext4"):
            name, data = self.root.device_name(mount.device), None
            with suppress(OSError):  # for whoever may not read it; the guard does, or says so
                data = self.root.data(f"/dev/{name}", _EXT.size) if name else None
            if data and len(data) == _EXT.size:
                inode, device = _EXT.unpack(data)
                yield from [] if inode or not device else [decode_device(device)]

    def layers_below(self, mount: Mount) -> list[stack.Layer]:
        """Return these devices, each with all that lies below it, as far as they are there."""
        numbers = self.devices_below(mount)
        return [layer for number in numbers for layer in stack.layers_of(number, self.root)]

    def _number(self, source: str) -> str | None:
        return self.root.device_number(source) if source.startswith("/") else None

    def _btrfs_devices(self, mount: Mount) -> list[str]:
        """See fs/btrfs/sysfs.c."""
        root = self.root
        of_uuid = {uuid: root.names(f"{_BTRFS}/{uuid}/devices") for uuid in root.names(_BTRFS)}
        name = root.device_name(self._number(mount.source) or "")
        named = [names for names in of_uuid.values() if name in names]
        if not named and (uuid := self._btrfs_uuid(mount)) in of_uuid:
            named = [of_uuid[uuid]]
        names = sorted({name for names in named or of_uuid.values() for name in names})
        numbers = (root.line(f"/sys/class/block/{name}/dev") for name in names)
        return [number for number in numbers if number]

    def _btrfs_uuid(self, mount: Mount) -> str:
        """Return what the file system says itself, "" if none of its mounts can be reached."""
        for each in self.mounts:
            if each.device == mount.device:
                with suppress(OSError):
                    return self.root.btrfs_uuid(each)
        return ""


class SwapArea(NamedTuple):
    """One line of /proc/swaps (mm/swapfile.c, swap_show)."""

    path: str
    """With " (deleted)" behind where the file was deleted (fs/d_path.c): no file is called so."""
    is_partition: bool
    size: int
    """Bytes."""
    used: int
    """Bytes."""


def parse_swaps(text: str) -> list[SwapArea]:
    """Return the active areas in `text`, the contents of /proc/swaps.

    A line that cannot be understood is left out.
    """
    areas = []
    for line in lines(text)[1:]:
        with suppress(ValueError):
            areas.append(_area(line))
    return areas


def _area(line: str) -> SwapArea:
    """Return what a line says. Raises ValueError."""
    name, _, rest = line.partition(" ")
    kind, size, used, _ = rest.split()
    return SwapArea(unescaped(name), kind == "partition", int(size) * 1024, int(used) * 1024)


def active_swaps(root: Root = HOST) -> list[SwapArea]:
    """Return the active swap areas."""
    return parse_swaps(os.fsdecode(root.data("/proc/swaps") or b""))
