"""Active swap as a store: the image takes pages that the kernel has free."""

import os
from array import array
from contextlib import ExitStack

from format import PAGE_SIZE
from format.mark import Extents
from linux.mounts import SwapArea
from linux.snapshot import SnapshotDevice
from store.device import BlockStore, open_device
from store.header import read_header
from store.place import Place


class SwapStore(BlockStore):
    """An active swap partition or file. What is swapped out stays where it is."""

    def __init__(self, area: SwapArea, place: Place) -> None:
        """Open what store.find has found. Raises StoreRefusedError if it cannot be marked."""
        with ExitStack() as on_error:
            device = on_error.enter_context(open_device(place.device))
            header = read_header(device.fd, area.path, place.page)
            header.check_markable()
            on_error.pop_all()
        super().__init__(device.fd, area.path, header)
        self._room = area.size - area.used
        self._snapshot: SnapshotDevice

    @property
    def room(self) -> int:
        """See Store: what was free when it was opened."""
        return self._room

    def attach(self, snapshot: SnapshotDevice) -> None:
        """See Store: the kernel allocates from this area from now on."""
        snapshot.set_swap_area(os.fstat(self.fd).st_rdev, self.slot.page)
        self._snapshot = snapshot

    def allocate(self, pages: int) -> Extents:
        """See Store. The kernel gives pages of the device, for a swap file too."""
        runs = Extents()
        offsets = self._snapshot.alloc_swap_pages(pages)
        if offsets == array("q", range(offsets[0], offsets[0] + pages * PAGE_SIZE, PAGE_SIZE)):
            runs.add(offsets[0] // PAGE_SIZE, pages)
            return runs
        for offset in offsets:
            runs.add(offset // PAGE_SIZE)
        return runs

    def give_back(self) -> None:
        """See Store."""
        self._snapshot.free_swap_pages()
