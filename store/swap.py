"""Active swap as a store: the image takes pages that the kernel has free."""

import os
from array import array
from contextlib import ExitStack
from functools import partial

from format import PAGE_SIZE
from format.mark import Extents
from linux.mounts import SwapArea
from linux.snapshot import SnapshotDevice
from store.ahead import Ahead
from store.device import BlockStore, open_device
from store.header import read_header
from store.place import Place
from store.supply import Supply

_STEP = 512
"""Pages that are asked for at a time."""


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
        self._getting: Ahead | None = None
        self._ahead = Supply()

    def close(self) -> None:
        """Close it, and end what gets pages ahead."""
        if self._getting:
            self._getting.close()
        super().close()

    @property
    def room(self) -> int:
        """See Store: what was free when it was opened."""
        return self._room

    def attach(self, snapshot: SnapshotDevice) -> None:
        """See Store: the kernel allocates from this area from now on."""
        snapshot.set_swap_area(os.fstat(self.fd).st_rdev, self.slot.page)
        self._snapshot = snapshot

    def begin_ahead(self, size: int) -> None:
        """See Store. At least half of what is free stays for what the kernel swaps out.

        Any error ends it: one that lasts comes again when the sink asks for more.
        """
        self._getting = Ahead(partial(self._get_ahead, size))

    def end_ahead(self) -> None:
        """See Store."""
        if self._getting:
            self._ahead = Supply(self._getting.finish())

    def _get_ahead(self, size: int, runs: Extents) -> None:
        left = min(size, self._snapshot.avail_swap_size() // 2) // PAGE_SIZE
        while left > 0:
            got = self._get(min(left, _STEP))
            for start, count in got:
                runs.add(start, count)
            left -= sum(got.counts)

    def allocate(self, pages: int) -> Extents:
        """See Store. The kernel gives pages of the device, for a swap file too."""
        runs = self._ahead.take(pages)
        while missing := pages - sum(runs.counts):
            for start, count in self._get(missing):
                runs.add(start, count)
        return runs

    def _get(self, pages: int) -> Extents:
        """Return runs of at least one page and at most so many. Raises OSError."""
        runs = Extents()
        offsets = self._snapshot.alloc_swap_pages(pages)
        first, end = offsets[0], offsets[0] + len(offsets) * PAGE_SIZE
        if offsets == array("q", range(first, end, PAGE_SIZE)):
            runs.add(first // PAGE_SIZE, len(offsets))
            return runs
        for offset in offsets:
            runs.add(offset // PAGE_SIZE)
        return runs
