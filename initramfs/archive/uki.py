"""Finds the initramfs in a unified kernel image: a PE file with a section .initrd.

The UAPI group's specification of unified kernel images, and Microsoft's of the PE format.
"""

import struct
import sys
from typing import BinaryIO, NamedTuple

from errors import InitramfsError

_HEADER_AT = 0x3C
_HEADER = struct.Struct("<4s2xH12xH2x")
"""The signature, the number of sections, the size of the optional header."""
_SECTION = struct.Struct("<8sIIII16x")
"""Name, size in memory, address, size in the file, place in the file."""


def initramfs_in(file: BinaryIO, profile: int) -> list[tuple[int, int]]:
    """Return offset and size of each part of the initramfs in a file; the size may be too large.

    Of several profiles one: what it does not have is what stands before the first of them.
    Raises InitramfsError, OSError.
    """
    sections = _sections(file)
    if sections is None:
        return [(0, sys.maxsize)]
    base, *profiles = _by_profile(sections)
    chosen = profiles[profile] if profile < len(profiles) else []
    if not base and not chosen:
        raise InitramfsError("it is a program for EFI without an initramfs")
    return chosen or base


def kernel_in(file: BinaryIO, size: int) -> bytes:
    """Return the beginning of the kernel in a unified kernel image, b"" if there is none."""
    for section in _sections(file) or ():
        if section.name == b".linux":
            file.seek(section.offset)
            return file.read(min(size, section.size))
    return b""


class _Section(NamedTuple):
    name: bytes
    offset: int
    size: int


def _sections(file: BinaryIO) -> list[_Section] | None:
    """Return the sections, in order; None if it is no program for EFI."""
    start = file.read(_HEADER_AT + 4)
    file.seek(0)
    if not start.startswith(b"MZ") or len(start) < _HEADER_AT + 4:
        return None
    at = int.from_bytes(start[_HEADER_AT:], "little")
    file.seek(at)
    header = file.read(_HEADER.size).ljust(_HEADER.size, b"\0")
    signature, count, optional_size = _HEADER.unpack(header)
    if signature != b"PE\0\0":
        return []
    file.seek(at + _HEADER.size + optional_size)
    table = file.read(count * _SECTION.size)
    found = []
    for place in range(0, len(table) - _SECTION.size + 1, _SECTION.size):
        name, used, _, stored, offset = _SECTION.unpack_from(table, place)
        # A size in memory of 0 says that it is the one in the file.
        found.append(_Section(name.rstrip(b"\0"), offset, min(used or stored, stored)))
    return found


def _by_profile(sections: list[_Section]) -> list[list[tuple[int, int]]]:
    """Return places and sizes of .initrd before the first profile, and in each."""
    found: list[list[tuple[int, int]]] = [[]]
    for section in sections:
        if section.name == b".profile":
            found.append([])
        elif section.name == b".initrd":
            found[-1].append((section.offset, section.size))
    return found
