"""Tells versions of a program apart, although a generator of initramfs images may strip it."""

import struct
import zlib

_ELF64_LITTLE = b"\x7fELF\x02\x01"
_HEADER = struct.Struct("<40xQ10xHHH")
"""e_shoff, e_shentsize, e_shnum, e_shstrndx (elf(5))."""
_SECTION = struct.Struct("<I20xQQ")
"""sh_name, sh_offset, sh_size."""
_ARCHIVE = b"pydata"
"""The section with PyInstaller's archive: its bootstrap and the program's first script.

Our modules lie in _internal as files, each of which is compared by itself."""


def fingerprint(data: bytes) -> str:
    """Return what is different in another version of the file, and the same after strip(1).

    For a frozen program its archive's checksum, for other ELF files "elf", else the checksum.
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
    places = [table + number * entry_size for number in range(count)]
    if entry_size < _SECTION.size or not places or places[-1] + entry_size > len(data):
        return None
    sections = [_SECTION.unpack_from(data, place) for place in places]
    if names_index >= count:
        return None
    names = sections[names_index][1]
    for name, offset, size in sections:
        if data.startswith(wanted + b"\0", names + name):
            return data[offset : offset + size]
    return None
