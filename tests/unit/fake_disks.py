"""Block devices that are files, with file systems of which only the superblock is there."""

import shutil
import struct
from pathlib import Path

from linux.mounts import Mount, MountTable
from tests.unit.fake_root import FakeRoot, add_device

UUID_1 = bytes(range(16))
UUID_2 = bytes(range(16, 32))


def ext(uuid: bytes = UUID_1, mounts: int = 7, size: int = 8192) -> bytes:
    """Return bytes that pass for a superblock of ext."""
    data = bytearray(size)
    struct.pack_into("<52xH2xH46x16s", data, 1024, mounts, 0xEF53, uuid)
    return bytes(data)


class Disks(FakeRoot):
    """A system below a folder with block devices, and kinds of file systems to be on them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self.folder = folder
        self._added = 0
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

    def stack(self, upper: str, lower: str) -> None:
        """Put a device upon another one."""
        (self.folder / f"sys/class/block/{upper}/slaves/{lower}").mkdir()

    def hold(self, name: str, file: str) -> None:
        """Have a file hold a loop device."""
        loop = self.folder / f"sys/class/block/{name}/loop"
        loop.mkdir(parents=True)
        (loop / "backing_file").write_text(f"{file}\n")

    def btrfs(self, uuid: str, *names: str) -> None:
        """Have a btrfs lie on these devices."""
        for name in names:
            (self.folder / f"sys/fs/btrfs/{uuid}/devices/{name}").mkdir(parents=True)

    def remove(self, name: str) -> None:
        """Take a device away."""
        shutil.rmtree(self.folder / "sys/class/block" / name)
        Path(self.path(f"/dev/{name}")).unlink()

    def table(self, *mounts: Mount) -> MountTable:
        """Return what is mounted there."""
        return MountTable(mounts, self)
