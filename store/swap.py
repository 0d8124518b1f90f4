"""An active swap partition as a store: the image takes pages that the kernel has free."""

import os
from contextlib import ExitStack

from format.layout import PAGE_SIZE
from format.mark import Extents
from kernel import block, swap
from kernel.snapshot import SnapshotDevice
from store.base import OpenStore
from store.errors import StoreRefusedError, cannot
from store.header import read_header


class SwapStore(OpenStore):
    """An active swap partition. What is swapped out stays where it is."""

    def __init__(self, path: str) -> None:
        """Raise StoreRefusedError if its header has no room for a mark, UnreadableError."""
        try:
            fd = block.open_direct(path, os.O_RDWR)
        except OSError as error:
            raise cannot("open", path, error) from error
        with ExitStack() as on_error:
            on_error.callback(os.close, fd)
            header = read_header(fd, path)
            header.check_markable()
            on_error.pop_all()
        super().__init__(fd, path, header)
        self._snapshot: SnapshotDevice

    def attach(self, snapshot: SnapshotDevice) -> None:
        """See Store: the kernel allocates from this area from now on."""
        snapshot.set_swap_area(os.fstat(self.fd).st_rdev, 0)
        self._snapshot = snapshot

    def allocate(self, pages: int) -> Extents:
        """See Store."""
        runs = Extents()
        for _ in range(pages):
            runs.add(self._snapshot.alloc_swap_page() // PAGE_SIZE)
        return runs

    def give_back(self) -> None:
        """See Store."""
        self._snapshot.free_swap_pages()


def find_active(path: str) -> swap.SwapArea | None:
    """Return the active swap area on the device at `path`, by any of its names, or None.

    Raises StoreRefusedError for an area that cannot be a store: zram, or a file.
    """
    for area in swap.active_swaps():
        if os.path.exists(area.path) and os.path.samefile(area.path, path):
            if is_zram(area):
                raise StoreRefusedError(
                    f"{path} is compressed memory (zram), which a power-off empties"
                )
            if not area.is_partition:
                raise StoreRefusedError(f"{path} is a swap file, not a partition: not supported")
            return area
    return None


def is_zram(area: swap.SwapArea) -> bool:
    """Return whether the area is in memory (drivers/block/zram)."""
    return os.path.basename(os.path.realpath(area.path)).startswith("zram")
