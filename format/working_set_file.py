"""A working set in a file of its own; docs/FORMAT.md, "Working set"."""

from construct import ConstructError

from errors import DamagedError, NoImageError, UnsupportedError
from format import layout
from format.checksum import crc32c
from format.records import MAX_WORKING_SET_SIZE

_VERSION = 1

MAX_SIZE = MAX_WORKING_SET_SIZE + 64
"""Bytes of a whole file, and a few more."""


def build_file(section: bytes) -> bytes:
    """Return the contents of a file with this working set."""
    fields = {
        "magic": layout.WORKING_SET_MAGIC,
        "version": _VERSION,
        "working_set": section,
        "checksum": 0,
    }
    bare: bytes = layout.WorkingSetFile.build(fields)[: -layout.CHECKSUM_SIZE]
    return bare + crc32c(bare).to_bytes(layout.CHECKSUM_SIZE, "little")


def parse_file(data: bytes) -> bytes:
    """Return the working set in a file. Raises NoImageError, UnsupportedError, DamagedError."""
    magic = layout.WORKING_SET_MAGIC
    if data[: len(magic)] != magic:
        raise NoImageError("no working set: the first bytes are not one's")
    version = int.from_bytes(data[len(magic) : len(magic) + 4], "little")
    if version != _VERSION:
        raise UnsupportedError(f"working set of version {version} is not known")
    try:
        fields = layout.WorkingSetFile.parse(data)
    except ConstructError:
        raise DamagedError("the working set is cut off, or longer than it says") from None
    if crc32c(data[: -layout.CHECKSUM_SIZE]) != fields.checksum:
        raise DamagedError("the working set has a wrong checksum")
    section: bytes = fields.working_set
    return section
