"""The kinds of stores, each on a disk of a few pages that is an ordinary file."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from format.first_page import empty_store
from linux.extents import FileExtent
from linux.mounts import SwapArea
from linux.open_file import OpenFile
from store import device, file_store, place
from store.device import DeviceStore
from store.file_store import FileStore
from store.place import Place
from store.protocol import Store
from store.swap import SwapStore
from tests.forge import PAGE, header_page

PAGES = 64
SWAP_PAGES = [*range(3, 6), 8, 9, *range(12, 15), *range(17, 32), 40, 41, *range(50, 60)]
"""What the kernel has free."""
FILE_PAGE = 7
FILE_RUNS = [(FILE_PAGE, 9), (30, 5), (20, 9)]
"""Where a file lies: pages and their number, in its order."""
OTHERS = b"\xdb" * PAGE
"""What a page holds that is not ours."""
UUID = bytes(range(16))


@dataclass(frozen=True, slots=True)
class Kind:
    """A store on a disk; the disk begins with OTHERS in all pages but the first of the store."""

    name: str
    page: int
    """Where it begins."""
    first: bytes
    """Its first page without an image."""
    pages: frozenset[int]
    """All that are its own."""
    opens: Callable[[Path], Store]

    def disk(self, first: bytes | None = None) -> bytes:
        """Return the disk with this first page of the store."""
        before, after = OTHERS * self.page, OTHERS * (PAGES - 1 - self.page)
        return before + (self.first if first is None else first) + after

    def path(self, disk: Path) -> Path:
        """Return what the user calls it."""
        return disk.with_name("file") if self.page else disk

    def first_of(self, disk: bytes) -> bytes:
        return disk[self.page * PAGE : (self.page + 1) * PAGE]


def _swap(disk: Path) -> Store:
    area = SwapArea(str(disk), is_partition=True, size=PAGES * PAGE, used=0)
    return SwapStore(area, Place(str(disk), 0))


KINDS = [
    Kind("swap", 0, header_page(PAGES), frozenset({0, *SWAP_PAGES}), _swap),
    Kind(
        "device",
        0,
        empty_store(PAGES, UUID),
        frozenset(range(PAGES)),
        lambda disk: DeviceStore(str(disk)),
    ),
    Kind(
        "file",
        FILE_PAGE,
        empty_store(sum(count for _, count in FILE_RUNS), UUID),
        frozenset(page for start, count in FILE_RUNS for page in range(start, start + count)),
        lambda disk: FileStore(str(disk.with_name("file")), Place(str(disk), FILE_PAGE)),
    ),
]


def stand_for_devices(disk: Path, patch: pytest.MonkeyPatch) -> None:
    """Have ordinary files taken for devices, `disk` for the one below a file beside it."""
    file, at, extents = disk.with_name("file"), 0, list[FileExtent]()
    for start, count in FILE_RUNS:
        extents.append(FileExtent(at, start * PAGE, count * PAGE, 0))
        at += count * PAGE
    file.write_bytes(bytes(at))
    below = Place(str(disk), FILE_PAGE)
    patch.setattr(file_store, "store_extents", lambda *_: extents)
    patch.setattr(file_store, "own_extents", lambda *_, **__: extents)
    patch.setattr(file_store, "check_file_system", lambda *_: None)
    patch.setattr(file_store, "file_place", lambda *_: below)
    patch.setattr(file_store, "refuse_volatile", lambda *_: None)
    patch.setattr(place, "place_of", lambda _path: below)
    patch.setattr(device, "claim", lambda path: OpenFile(os.open(path, os.O_RDWR)))
    patch.setattr(device, "refuse_volatile", lambda *_: None)
    patch.setattr(device, "SMALLEST_SIZE", PAGES * PAGE)
    patch.setattr(file_store, "SMALLEST_SIZE", PAGES * PAGE)
