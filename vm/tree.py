"""A tree of guest files, put together on the host before it becomes a cpio or a disk image."""

import hashlib
import os
import re
import shutil
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import BinaryIO

from vm.host import SEARCH_PATH, HostError, run

BUSYBOX = Path("/bin/busybox")
NO_FILES: Mapping[str, bytes] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the guest: its mode with the type bits, and its bytes or where they are.

    The contents of a link are its target, those of a folder are empty.
    """

    mode: int
    contents: bytes | Path

    def read(self) -> bytes:
        """Return the contents."""
        return self.contents if isinstance(self.contents, bytes) else self.contents.read_bytes()


@dataclass(slots=True)
class Tree:
    """Guest paths and what lies there; folders above an entry come by themselves."""

    entries: dict[str, Entry] = field(default_factory=dict)

    def file(self, path: str, contents: bytes | Path, *, executable: bool = False) -> None:
        """Add a file with these bytes, or those of a file of the host."""
        self._add(path, Entry(stat.S_IFREG | (0o755 if executable else 0o644), contents))

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        self._add(path, Entry(stat.S_IFLNK | 0o777, target.encode()))

    def folder(self, path: str) -> None:
        """Add a folder, and those above it."""
        parts = PurePosixPath(path)
        for each in [*reversed(parts.parents), parts]:
            if str(each) != "/":
                self.entries.setdefault(str(each), Entry(stat.S_IFDIR | 0o755, b""))

    def copy(self, path: str, source: Path) -> None:
        """Add a file of the host, or a folder with all it holds, links kept as links."""
        if source.is_symlink():
            self.link(path, str(source.readlink()))
        elif source.is_dir():
            self.folder(path)
            for child in sorted(source.iterdir()):
                self.copy(f"{path}/{child.name}", child)
        else:
            self.file(path, source, executable=os.access(source, os.X_OK))

    def busybox(self, applets: list[str]) -> None:
        """Add /bin/busybox and a link in /bin to it for each of these programs."""
        self.file("/bin/busybox", BUSYBOX, executable=True)
        for applet in applets:
            if applet != "busybox":
                self.link(f"/bin/{applet}", "busybox")

    def program(self, path: str, frozen: Path, groups: Collection[str] | None = None) -> None:
        """Add a frozen program's folder at `path` and the libraries it needs from its host.

        With `groups`, as an initramfs has it: `sealing` where images are sealed, `server` where
        they lie on one; without what other groups alone need.
        """
        self.copy(path, frozen)
        for listed in frozen.parent.glob(f"{frozen.name}-*.needs") if groups is not None else ():
            if listed.stem.removeprefix(f"{frozen.name}-") not in (groups or ()):
                for line in listed.read_text().splitlines():
                    del self.entries[line]
        for line in frozen.with_name(f"{frozen.name}.needs").read_text().splitlines():
            if not line.startswith("/usr/lib/torpor/"):
                self.file(line, Path(line).resolve(), executable=True)

    def host_program(self, name: str) -> str:
        """Add a program of the host, with the libraries that it needs; return its place."""
        place = shutil.which(name, path=SEARCH_PATH)
        if place is None:
            raise HostError(f"{name} is not installed")
        libraries = re.findall(r"(/\S+) \(0x", run("ldd", place))
        for path in (place, *libraries):
            self.file(path, Path(path).resolve(), executable=True)
        return place

    def digest(self) -> str:
        """Return a hash of all paths, modes and contents."""
        total = hashlib.sha256()
        for path, entry in sorted(self.entries.items()):
            inner = hashlib.sha256(entry.read()).hexdigest()
            total.update(f"{path}\0{entry.mode:o}\0{inner}\n".encode())
        return total.hexdigest()

    def write_cpio(self, output: BinaryIO) -> None:
        """Write an uncompressed newc archive, all owned by root.

        Source: Documentation/driver-api/early-userspace/buffer-format.rst.
        """
        output.writelines(
            _cpio_member(number, path.lstrip("/"), entry.mode, entry.read())
            for number, (path, entry) in enumerate(sorted(self.entries.items()), start=1)
        )
        output.write(_cpio_member(0, "TRAILER!!!", 0, b""))

    def write_folder(self, folder: Path) -> None:
        """Lay the tree out below a folder of the host."""
        for path, entry in sorted(self.entries.items()):
            place = folder / path.lstrip("/")
            if stat.S_ISDIR(entry.mode):
                place.mkdir(exist_ok=True)
            elif stat.S_ISLNK(entry.mode):
                place.symlink_to(entry.read().decode())
            else:
                place.write_bytes(entry.read())
                place.chmod(stat.S_IMODE(entry.mode))

    def _add(self, path: str, entry: Entry) -> None:
        self.folder(str(PurePosixPath(path).parent))
        self.entries[path] = entry


def _cpio_member(inode: int, name: str, mode: int, contents: bytes) -> bytes:
    links, when, owner = 1, 0, 0
    numbers = [inode, mode, owner, owner, links, when, len(contents)]
    numbers += [0, 0, 0, 0, len(name) + 1, 0]  # device numbers, name's size, no checksum
    head = "070701" + "".join(f"{number:08X}" for number in numbers) + name + "\0"
    return _pad(head.encode()) + _pad(contents)


def _pad(field_bytes: bytes) -> bytes:
    return field_bytes + bytes(-len(field_bytes) % 4)
