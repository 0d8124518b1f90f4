"""What an initramfs holds: names, links, and the contents of the few files that matter."""

import posixpath
import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from errors import InitramfsError
from initramfs.archive.cpio import TRAILER, Inode, Member, as_string, read_archives
from initramfs.archive.uki import initramfs_in
from initramfs.archive.unpack import PIECE, Room, Stream

KEEP_LIMIT = 32 << 20
"""Bytes of one file that are looked at; what is larger is not what it should be."""
_TEXT_LIMIT = 16 << 20
"""Bytes of all texts that are kept."""
_UNPACKED_LIMIT = 2 << 30
"""Bytes of all archives, those in the files and what they unpack to."""
_MEMBER_LIMIT = 1 << 20
_NAME_LIMIT = 64 << 20
"""Bytes of all names and links."""
_INIT = "init"
_LINK_LIMIT = 40
"""As many symbolic links as the kernel follows (MAXSYMLINKS)."""
_ELF64_LITTLE = b"\x7fELF\x02\x01"
_HEADER = struct.Struct("<40xQ10xHHH")
"""e_shoff, e_shentsize, e_shnum, e_shstrndx (elf(5))."""
_SECTION = struct.Struct("<I20xQQ")
"""sh_name, sh_offset, sh_size."""
_ARCHIVE = b"pydata"
"""The section with PyInstaller's archive: its bootstrap and the program's first script.

Our modules lie in _internal as files, each of which is compared by itself."""

Keep = Callable[[str], Callable[[bytes], object] | None]
"""Says for a name what is to be kept of that file's contents: what the function makes of them."""


class Initramfs:
    """All archives of an initramfs laid over each other, as the kernel does."""

    def __init__(self) -> None:
        self.entries: dict[str, str] = {}
        """Where a symbolic link points, "" for all else; by name, without a slash at the start."""
        self.kept: dict[str, object] = {}
        self.name_bytes = 0
        """Of all names and links that were read."""
        self.text_bytes = 0
        """Of all texts that were kept."""
        self.main = -1
        """The number of the file that has init, of the source's: others hold microcode, say."""

    def resolve(self, path: str) -> str | None:
        """Return the name of what `path` leads to through symbolic links, None for nothing."""
        waiting = _parts(path)
        done: list[str] = []
        links = 0
        while waiting:
            part = waiting.pop(0)
            if part == "..":
                done = done[:-1]
                continue
            name = "/".join([*done, part])
            target = self.entries.get(name)
            if target is None:
                return None
            if not target:
                done.append(part)
                continue
            links += 1
            if links > _LINK_LIMIT:
                return None
            if target.startswith("/"):
                done = []
            waiting = _parts(target) + waiting
        return "/".join(done)

    def __contains__(self, path: str) -> bool:
        return self.resolve(path) is not None

    def contents(self, path: str) -> object | None:
        """Return what was kept of the file, None if there is none or it was not to be kept."""
        name = self.resolve(path)
        return None if name is None else self.kept.get(name)

    def text(self, path: str) -> str | None:
        """Return what was kept as text, None if there is none."""
        kept = self.contents(path)
        return kept if isinstance(kept, str) else None

    def below(self, folder: str) -> Iterator[str]:
        """Yield the names below a folder, sorted, through symbolic links to the folder itself."""
        name = self.resolve(folder)
        if name is not None:
            yield from sorted(entry for entry in self.entries if entry.startswith(f"{name}/"))


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


class Source(NamedTuple):
    """The files that make up the initramfs of a boot, laid over each other in this order."""

    paths: tuple[str, ...]
    profile: int = 0
    """Which one of a unified kernel image that has several."""


def read_initramfs(source: Source, keep: Keep) -> Initramfs:
    """Read the files, or what is in unified kernel images there, to their ends.

    Raises InitramfsError, OSError.
    """
    initramfs, room = Initramfs(), Room(_UNPACKED_LIMIT)
    for number, path in enumerate(source.paths):
        with open(path, "rb", buffering=0) as file:
            for offset, size in initramfs_in(file, source.profile):
                file.seek(offset)
                archives = read_archives(Stream(room.of(_pieces(file, size))), room)
                if _INIT in _read(initramfs, archives, keep):
                    initramfs.main = number
    if not initramfs.entries:
        raise InitramfsError("it holds no files")
    return initramfs


def _read(initramfs: Initramfs, members: Iterator[Member], keep: Keep) -> set[str]:
    """Lay the members over what the initramfs has; return the names of them."""
    linked: dict[Inode, list[str]] = {}
    names = set()
    for member in members:
        if member.name == TRAILER:
            linked.clear()  # inode numbers hold within one archive
            continue
        name = posixpath.normpath(member.name).lstrip("/")
        names.add(name)
        _add(initramfs, name, member, keep, linked)
        if len(initramfs.entries) > _MEMBER_LIMIT:
            raise InitramfsError("it holds more than a million files")
        if initramfs.name_bytes > _NAME_LIMIT or initramfs.text_bytes > _TEXT_LIMIT:
            raise InitramfsError("its names, or its texts, are longer than there can be")
    return names


def _pieces(file: BinaryIO, size: int) -> Iterator[bytes]:
    while piece := file.read(min(PIECE, size)):
        size -= len(piece)
        yield piece


def _add(
    initramfs: Initramfs, name: str, member: Member, keep: Keep, linked: dict[Inode, list[str]]
) -> None:
    target, kept = "", None
    if stat.S_ISLNK(member.mode):
        target = as_string(member.take(_LINK_LIMIT << 7))
    elif stat.S_ISREG(member.mode) and member.size:
        use = keep(name)
        if use is not None and member.size <= KEEP_LIMIT:
            kept = use(member.take(member.size))
    initramfs.name_bytes += len(name) + len(target)
    initramfs.text_bytes += len(kept) if isinstance(kept, str) else 0
    names = [name]
    if member.links > 1 and stat.S_ISREG(member.mode):
        # Of several names of a file, one alone comes with the contents.
        others = linked.setdefault(member.inode, [])
        others.append(name)
        if member.size:
            names = [*others]
            del others[1:]  # one tells what later names have
        else:
            kept = initramfs.kept.get(others[0])
    for each in names:
        initramfs.entries[each] = target
        initramfs.kept.pop(each, None)
        if kept is not None:
            initramfs.kept[each] = kept


def as_text(data: bytes) -> str:
    """Keep the contents as text."""
    return data.decode("utf-8", "replace")


def fingerprint(data: bytes) -> str:
    """Return what is different in another version of the file, and the same after strip(1).

    Generators may strip it. For a frozen program its archive's checksum, for other ELF files "elf",
    else the checksum.
    """
    if not data.startswith(b"\x7fELF"):
        return f"{zlib.crc32(data):08x}"
    archive = _section(data, _ARCHIVE)
    return "elf" if archive is None else f"elf {zlib.crc32(archive):08x}"


def _section(data: bytes, wanted: bytes) -> bytes | None:
    """Return the contents of a section, None if there is none or no sense in the file."""
    if not data.startswith(_ELF64_LITTLE) or len(data) < _HEADER.size:
        return None
    table, entry_size, count, names_index = _HEADER.unpack_from(data)
    end = table + count * entry_size
    if entry_size < _SECTION.size or names_index >= count or end > len(data):
        return None
    sections = [_SECTION.unpack_from(data, place) for place in range(table, end, entry_size)]
    names = sections[names_index][1]
    for name, offset, size in sections:
        if data.startswith(wanted + b"\0", names + name):
            return data[offset : offset + size]
    return None
