"""Block devices that are files, with file systems of which only the superblock is there."""

import os
import struct
from pathlib import Path

from linux import stack

UUID_1 = bytes(range(16))
UUID_2 = bytes(range(16, 32))


def ext(uuid: bytes = UUID_1, mounts: int = 7, size: int = 8192) -> bytes:
    """Return bytes that pass for a superblock of ext."""
    data = bytearray(size)
    struct.pack_into("<52xH2xH46x16s", data, 1024, mounts, 0xEF53, uuid)
    return bytes(data)


class Disks:
    """The machine's block devices: files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.dm: dict[str, stack.Layer] = {}
        self.opened = 0
        self.hidden: set[str] = set()

    def add(self, name: str, data: bytes, dm_name: str = "", dm_uuid: str = "") -> str:
        path = self._folder / name
        path.write_bytes(data)
        self.dm[str(path)] = stack.Layer(name, dm_name, dm_uuid)
        return str(path)

    def remove(self, name: str) -> None:
        (self._folder / name).unlink()

    def whole(self) -> list[str]:
        paths = sorted(str(path) for path in self._folder.iterdir())
        return [path for path in paths if path not in self.hidden]

    def layers(self, path: str) -> list[stack.Layer]:
        os.stat(path)
        self.opened += 1
        return [self.dm[path]]
