"""Builds initramfs images for tests: archives, compressions, damage."""

import bz2
import gzip
import lzma
import stat
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import lz4.block
import zstandard


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    target: str


Tree = Mapping[str, bytes | Link]


def member(
    name: str,
    mode: int,
    data: bytes,
    *,
    inode: int = 1,
    links: int = 1,
    magic: str = "070701",
    zeros: int = 1,
) -> bytes:
    """Return one member of a newc archive."""
    path = name.encode() + bytes(zeros)
    fields = [inode, mode, 0, 0, links, 0, len(data), 8, 1, 0, 0, len(path), 0]
    header = (magic + "".join(f"{field:08X}" for field in fields)).encode() + path
    return header + bytes(-len(header) % 4) + data + bytes(-len(data) % 4)


TRAILER = member("TRAILER!!!", 0, b"")


def archive(tree: Tree) -> bytes:
    """Return a newc archive of the tree, with its folders, padded as cpio does."""
    parts, folders = [], set[str]()
    for inode, (name, what) in enumerate(tree.items(), 2):
        parents = [name[:at] for at, letter in enumerate(name) if letter == "/"]
        for folder in [path for path in parents if path not in folders]:
            folders.add(folder)
            parts.append(member(folder, stat.S_IFDIR | 0o755, b""))
        if isinstance(what, Link):
            parts.append(member(name, stat.S_IFLNK | 0o777, what.target.encode(), inode=inode))
        else:
            parts.append(member(name, stat.S_IFREG | 0o644, what, inode=inode))
    whole = b"".join(parts) + TRAILER
    return whole + bytes(-len(whole) % 512)


MICROCODE = archive({"kernel/x86/microcode/GenuineIntel.bin": bytes(range(256)) * 9})


def lz4_legacy(data: bytes) -> bytes:
    """Compress as `lz4 -l` does, which is what the kernel can undo."""
    out = b"\x02\x21\x4c\x18"
    for at in range(0, len(data), 8 << 20):
        block = lz4.block.compress(data[at : at + (8 << 20)], store_size=False)
        out += len(block).to_bytes(4, "little") + block
    return out


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lambda data: lzma.compress(data, check=lzma.CHECK_CRC32),
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "zstd": lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data),
    "lz4": lz4_legacy,
}


def unified_kernel_image(sections: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return a PE file with sections as ukify makes them, sizes rounded up to 512 bytes."""
    parts = [(b".osrel", b"ID=debian"), *sections, (b".linux", b"MZ" + bytes(700))]
    optional = bytes(240)
    head = b"MZ".ljust(0x3C, b"\0") + (64).to_bytes(4, "little") + b"PE\0\0"
    head += struct.pack("<HHIIIHH", 0x8664, len(parts), 0, 0, 0, len(optional), 0x22E) + optional
    body, table = b"", b""
    for name, data in parts:
        stored = -(-len(data) // 512) * 512
        place = 1024 + len(body)
        table += struct.pack("<8sIIII16x", name, len(data), place, stored, place)
        body += data.ljust(stored, b"\xcc")
    return (head + table).ljust(1024, b"\0") + body
