"""A system below a folder whose block devices are ordinary files."""

import os
from pathlib import Path

from linux.extents import LAST, FileExtent
from linux.root import Root

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

    def file_extents(self, fd: int, *, sync: bool) -> list[FileExtent]:
        del sync
        size = -(-os.fstat(fd).st_size // 4096) * 4096
        return [FileExtent(0, FILE_PAGE * 4096, size, LAST)] if size else []

    def mount_id(self, fd: int) -> int:
        """Return that of the first mount, the root's."""
        del fd
        return int(self.line("/proc/self/mountinfo").split()[0])


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
