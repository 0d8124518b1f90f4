"""Swap areas: /proc/swaps and the header (include/linux/swap.h, union swap_header)."""

import struct
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from linux import signature

PAGE_SIZE = signature.PAGE_SIZE
SIGNATURE_OFFSET = signature.OFFSET

SWAP = signature.SWAP
KERNEL_IMAGE = signature.KERNEL_IMAGE
USER_IMAGE = signature.USER_IMAGE

_HEADER = struct.Struct("<1024xIII16s16s")


@dataclass(frozen=True, slots=True)
class SwapHeader:
    """The first page of a swap area."""

    version: int
    last_page: int
    """Number of the last page of the area; the header is page 0."""
    bad_pages: int
    uuid: UUID
    label: str
    signature: bytes

    @classmethod
    def parse(cls, page: bytes | bytearray | memoryview) -> Self:
        """Return the fields in `page`, of 4096 bytes, whatever the signature says."""
        version, last_page, bad_pages, uuid, label = _HEADER.unpack_from(page)
        return cls(
            version,
            last_page,
            bad_pages,
            UUID(bytes=uuid),
            label.split(b"\0", 1)[0].decode("utf-8", "replace"),
            bytes(page[SIGNATURE_OFFSET:PAGE_SIZE]),
        )


def build_header(last_page: int, uuid: UUID, label: str, signature: bytes) -> bytes:
    """Return a first page with these fields and nothing else."""
    fields = _HEADER.pack(1, last_page, 0, uuid.bytes, label.encode()[:16])
    return fields.ljust(SIGNATURE_OFFSET, b"\0") + signature


@dataclass(frozen=True, slots=True)
class SwapArea:
    """One line of /proc/swaps."""

    path: str
    is_partition: bool
    size: int
    """Bytes."""
    used: int
    """Bytes."""


def parse_swaps(text: str) -> list[SwapArea]:
    r"""Return the active areas in `text`, the contents of /proc/swaps (blanks are \040)."""
    areas = []
    for line in text.splitlines()[1:]:
        name, kind, size, used, _ = line.rsplit(None, 4)
        path = name.replace("\\040", " ").strip()
        areas.append(SwapArea(path, kind == "partition", int(size) * 1024, int(used) * 1024))
    return areas


def active_swaps() -> list[SwapArea]:
    """Return the active swap areas."""
    with open("/proc/swaps", encoding="utf-8", errors="surrogateescape") as file:
        return parse_swaps(file.read())
