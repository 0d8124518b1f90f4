"""The files and block devices of a system, and what is mounted at its root.

Every boot imports this: what only some need is imported where it is used.
"""

import os
import stat

from linux import proc
from linux.open_file import OpenFile, read_whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from linux.device_mapper import Target
    from linux.extents import FileExtent
    from linux.loop import LoopFile
    from linux.mounts import Mount


_MOST = 64 << 20
"""Bytes of a file that is read at once; 100,000 mounts have some 10 MiB."""


_ABSENT = (FileNotFoundError, NotADirectoryError, ValueError)
"""What says that nothing is there: ValueError of a path with a zero byte, which no file has."""


class Root:
    """The system below /, or below another folder; paths are given as on that system.

    Where a file is not there, methods say so by what they return. PermissionError and other
    OSErrors are the caller's. Tests derive a class whose devices are ordinary files.
    """

    def __init__(self, root: str = "/") -> None:
        self.root = root.rstrip("/")

    def path(self, path: str) -> str:
        """Return where the file `path` of the system is."""
        return f"{self.root}{path}"

    def text(self, path: str) -> str | None:
        """Return the contents of a file, as os.fsdecode has them, None if it is not there."""
        data = self.data(path)
        return None if data is None else os.fsdecode(data)

    def line(self, path: str) -> str:
        """Return the contents of a file of one line, "" if it is not there."""
        return (self.text(path) or "").strip()

    def data(self, path: str, limit: int = -1) -> bytes | None:
        """Return the first bytes of a file, None if it is not there.

        Without a limit all of it: OSError (EFBIG) for what is too large to be read at once.
        """
        try:
            if limit < 0:
                return read_whole(self.path(path), _MOST)
            with open(self.path(path), "rb") as file:
                return file.read(limit)
        except (*_ABSENT, IsADirectoryError):
            return None

    def exists(self, path: str) -> bool:
        """Return whether something is there."""
        try:
            os.stat(self.path(path))
        except _ABSENT:
            return False
        return True

    def names(self, folder: str) -> list[str]:
        """Return the sorted names in a folder, none if it is not there."""
        try:
            return sorted(os.listdir(self.path(folder)))
        except _ABSENT:
            return []

    def modified(self, path: str) -> float:
        """Return when a file was written last, in seconds of the epoch; 0 if it is not there."""
        try:
            return os.stat(self.path(path)).st_mtime
        except _ABSENT:
            return 0

    @property
    def release(self) -> str:
        """The running kernel's release."""
        return self.line("/proc/sys/kernel/osrelease")

    def device_number(self, path: str) -> str | None:
        """Return MAJOR:MINOR of the block device at `path`, None for anything else."""
        try:
            status = os.stat(self.path(path))
        except (OSError, ValueError):
            return None
        if not stat.S_ISBLK(status.st_mode):
            return None
        return f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"

    def device_name(self, number: str) -> str | None:
        """Return the name in /sys/class/block of the device MAJOR:MINOR, None for none."""
        link = self.path(f"/sys/dev/block/{number}")
        return os.path.basename(os.path.realpath(link)) if os.path.exists(link) else None

    def device_size(self, path: str) -> int:
        """Return the size in bytes of the block device at `path`, 0 if there is none."""
        name = self.device_name(self.device_number(path) or "")
        sectors = self.line(f"/sys/class/block/{name}/size")  # of 512 bytes, whatever it has
        return int(sectors) << 9 if name and sectors else 0

    def sector_size(self, path: str) -> int:
        """Return the logical sector size in bytes of the block device at `path`."""
        folder = f"/sys/dev/block/{self.device_number(path)}"
        of_disk, of_partition = f"{folder}/queue", f"{folder}/../queue"
        said = (self.line(f"{queue}/logical_block_size") for queue in (of_disk, of_partition))
        return int(next(filter(None, said), "512"))

    def dm_table(self, number: str) -> "list[Target]":
        """Return the table of the device MAJOR:MINOR, [] where device-mapper has none of it."""
        name = self.device_name(number)
        if name is None or not self.exists(f"/sys/class/block/{name}/dm"):
            return []
        from linux.device_mapper import table  # struct, for an image's devices only

        return table(number)

    def loop_file(self, name: str) -> "LoopFile":
        """See linux.loop.file_of; of the device with that name."""
        from linux.loop import file_of  # fcntl and struct, for hibernations only

        return file_of(self.path(f"/dev/{name}"))

    def is_same_file(self, one: str, other: str) -> bool:
        """Return whether two paths are of one file, or of nodes of one block device."""
        try:
            is_same = os.path.samefile(self.path(one), self.path(other))
        except (OSError, ValueError):
            return False
        return is_same or self.is_same_device(one, other)

    def is_same_device(self, one: str, other: str) -> bool:
        """Return whether two paths are of nodes of one block device."""
        number = self.device_number(one)
        return number is not None and number == self.device_number(other)

    def interface_to(self, address: bytes) -> str:
        """See linux.route.interface_to."""
        from linux.route import interface_to  # ctypes and struct, for servers only

        return interface_to(address)

    def file_extents(self, fd: int, *, sync: bool) -> "Sequence[FileExtent]":
        """See linux.extents.file_extents."""
        from linux.extents import file_extents  # struct and typing, for files only

        return file_extents(fd, sync=sync)

    def mount_id(self, fd: int) -> int:
        """See linux.mounts.mount_id_of."""
        from linux.mounts import mount_id_of  # functools and typing

        return mount_id_of(fd)

    def btrfs_uuid(self, mount: "Mount") -> str:
        """See linux.filesystem.btrfs_uuid; of what is mounted there. Raises OSError."""
        from linux.filesystem import btrfs_uuid  # fcntl and uuid
        from linux.mounts import open_mount

        fd = open_mount(mount._replace(mount_point=self.path(mount.mount_point)), os.O_NONBLOCK)
        with OpenFile(fd):
            return btrfs_uuid(fd)


HOST = Root()


def is_in_memory() -> bool:
    """Return whether the root is in memory only, as before the real root is mounted."""
    return is_memory(proc.read("/proc/self/mounts"))


def is_memory(mounts: str) -> bool:
    """Return whether the root of these mounts, the contents of the file, is in memory only."""
    fields = [line.split(" ") for line in proc.lines(mounts)]
    roots = [field[2] for field in fields if field[1:2] == ["/"] and len(field) > 2]
    return bool(roots) and roots[-1] in ("rootfs", "ramfs", "tmpfs")
