"""A system below a folder: block devices that are files, superblocks, whatever else it holds."""

import errno
import os
import shutil
import struct
from ipaddress import ip_address
from pathlib import Path

from linux.device_mapper import Target
from linux.extents import LAST, FileExtent
from linux.loop import LoopFile
from linux.mounts import Mount, MountTable
from linux.root import Root
from tests.tools import put

FILE_PAGE = 4711
"""Page of its device at which every file begins."""


class FakeRoot(Root):
    """A node is a file in /dev with a folder in /sys/class/block; files lie where none does."""

    def device_number(self, path: str) -> str | None:
        if not os.path.exists(self.path(path)):
            return None
        real, folder = (os.path.realpath(self.path(each)) for each in (path, "/dev"))
        name = os.path.relpath(real, folder).replace("/", "!")
        return self.line(f"/sys/class/block/{name}/dev") or None

    def device_name(self, number: str) -> str | None:
        names = self.names("/sys/class/block")
        found = (name for name in names if self.line(f"/sys/class/block/{name}/dev") == number)
        return next(found, None)

    def dm_table(self, number: str) -> list[Target]:
        """Return what `table` of the device has, as dmsetup writes it."""
        said = self.text(f"/sys/class/block/{self.device_name(number)}/dm/table") or ""
        words = [line.split(" ", 3) for line in said.splitlines()]
        return [Target(int(start), int(size), kind, what) for start, size, kind, what in words]

    def interface_to(self, address: bytes) -> str:
        """Return what `routes` says: an address and an interface in each line; of any other, ""."""
        lines = [line.split() for line in (self.text("/routes") or "").splitlines()]
        return {ip_address(one).packed: name for one, name in lines}.get(address, "")

    def file_extents(self, fd: int, *, sync: bool) -> list[FileExtent]:
        del sync
        size = -(-os.fstat(fd).st_size // 4096) * 4096
        return [FileExtent(0, FILE_PAGE * 4096, size, LAST)] if size else []

    def mount_id(self, fd: int) -> int:
        """Return that of the first mount, the root's."""
        del fd
        return int(self.line("/proc/self/mountinfo").split()[0])


def write(root: Root, files: dict[str, str]) -> None:
    """Write each file, by its path on that system, with the folders above it."""
    put(Path(root.path("/")), files)


def add_device(root: Path, name: str, number: str, size: int, **udev: str) -> None:
    """Add a node, what sysfs says of it, and what udev knows: ID_FS_UUID and so on."""
    folder = root / "sys/class/block" / name
    (folder / "slaves").mkdir(parents=True)
    (folder / "dev").write_text(f"{number}\n")
    (folder / "size").write_text(f"{size // 512}\n")
    node = root / "dev" / name.replace("!", "/")
    node.parent.mkdir(parents=True, exist_ok=True)
    node.write_bytes(b"")
    say_udev(root, number, **udev)


def say_udev(root: Path, number: str, **udev: str) -> None:
    """Have udev know these properties of a device, and no others."""
    path = root / f"run/udev/data/b{number}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"E:{key}={value}\n" for key, value in udev.items()))


UUID_1 = bytes(range(16))
UUID_2 = bytes(range(16, 32))


def ext(uuid: bytes = UUID_1, mounts: int = 7, size: int = 8192) -> bytes:
    """Return bytes that pass for a superblock of ext."""
    data = bytearray(size)
    struct.pack_into("<52xH2xH46x16s", data, 1024, mounts, 0xEF53, uuid)
    return bytes(data)


def btrfs(uuid: bytes = UUID_1) -> bytes:
    """Return bytes that pass for a superblock of btrfs, and those before it."""
    return (bytes((64 << 10) + 64) + b"_BHRfS_M").ljust((64 << 10) + 267, b"\0") + uuid.ljust(4096)


def bcachefs(uuid: bytes = UUID_1, member: int = 0) -> bytes:
    """Return bytes that pass for a superblock of bcachefs, and those before it."""
    magic = bytes.fromhex("c68573f666ce90a9d96a60cf803df7ef")
    return bytes(4096) + struct.pack("<24x16s16s66xB", magic, uuid, member).ljust(4096, b"\0")


SUPERBLOCKS = ext()[:4096] + bcachefs()[4096:] + btrfs()[8192:]
"""Bytes that pass for each of these file systems."""


class Disks(FakeRoot):
    """A system below a folder with block devices, and kinds of file systems to be on them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self.folder = folder
        self._added = 0
        self._held: dict[str, LoopFile] = {}
        self._uuids: dict[str, str] = {}
        (folder / "proc").mkdir()
        types = ("\text4", "\txfs", "\tbtrfs", "\tbcachefs", "\tfuseblk", "nodev\ttmpfs")
        (folder / "proc/filesystems").write_text("".join(f"{kind}\n" for kind in types))

    def add(self, name: str, data: bytes = b"", dm: tuple[str, str] = ("", "")) -> str:
        """Add a device, or replace what is on it, and return its path; `dm` are name and UUID.

        They have the numbers 8:0, 8:1, … in the order in which they are added.
        """
        sysfs = self.folder / "sys/class/block" / name
        if not sysfs.exists():
            add_device(self.folder, name, f"8:{self._added}", len(data))
            (sysfs / "holders").mkdir()
            (sysfs / "dm").mkdir()
            self._added += 1
        for file, text in zip(("name", "uuid"), dm, strict=True):
            (sysfs / "dm" / file).write_text(text)
        path = f"/dev/{name.replace('!', '/')}"
        Path(self.path(path)).write_bytes(data)
        return path

    def partition(self, name: str, disk: str, start: int) -> None:
        """Have a device be a partition of a disk, from this sector on."""
        sysfs = self.folder / "sys/class/block"
        inner = sysfs / disk / name
        (sysfs / name).rename(inner)
        (sysfs / name).symlink_to(inner)
        (inner / "start").write_text(f"{start}\n")

    def map(self, name: str, *lines: str) -> None:
        """Have a device of device-mapper have this table."""
        (self.folder / f"sys/class/block/{name}/dm/table").write_text("\n".join(lines))

    def stack(self, upper: str, lower: str) -> None:
        """Put a device upon another one."""
        sysfs = self.folder / "sys/class/block"
        (sysfs / upper / "slaves" / lower).mkdir()
        (sysfs / lower / "holders" / upper).mkdir(parents=True)

    def hold(
        self, name: str, file: str, number: str, inode: int = 12, device: str = "", offset: int = 0
    ) -> None:
        """Have a file hold a loop device; the rest as in LoopFile."""
        loop = self.folder / f"sys/class/block/{name}/loop"
        loop.mkdir(parents=True, exist_ok=True)
        (loop / "backing_file").write_text(f"{file}\n")
        self._held[name] = LoopFile(number, inode, device, offset)

    def loop_file(self, name: str) -> LoopFile:
        """Return what `hold` was told, or refuse as the kernel does."""
        if name not in self._held:
            raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
        return self._held[name]

    def btrfs(self, uuid: str, *names: str, at: str = "") -> None:
        """Have a btrfs lie on these devices, and say its UUID where it is mounted."""
        for name in names:
            (self.folder / f"sys/fs/btrfs/{uuid}/devices/{name}").mkdir(parents=True)
        self._uuids[at] = uuid

    def btrfs_uuid(self, mount: Mount) -> str:
        """Return what `btrfs` was told, or refuse as where another mount hides it."""
        if mount.mount_point not in self._uuids:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), mount.mount_point)
        return self._uuids[mount.mount_point]

    def remove(self, name: str) -> None:
        """Take a device away."""
        shutil.rmtree(self.folder / "sys/class/block" / name)
        Path(self.path(f"/dev/{name}")).unlink()

    def table(self, *mounts: Mount) -> MountTable:
        """Return what is mounted there."""
        return MountTable(mounts, self)
