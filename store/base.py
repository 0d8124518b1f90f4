"""The stores on block devices: what does not depend on which kind of device or file it is."""

import errno
import os

from errors import Attempt
from format import PAGE_SIZE, extent_map
from linux import block
from linux.open_file import OpenFile
from linux.snapshot import SnapshotDevice
from store.blocks import BlockSink
from store.header import StoreHeader


def open_device(path: str) -> OpenFile:
    """Open a device to write to it past the page cache. Raises UnreadableError."""
    with Attempt("open", path):
        return OpenFile(block.open_direct(path, os.O_RDWR))


class BlockStore(OpenFile):
    """A Store whose mark stands in a first page; a kind says which pages an image may take."""

    def __init__(self, fd: int, name: str, header: StoreHeader) -> None:
        super().__init__(fd)
        self.name = name
        self.slot = header

    def sink(self) -> BlockSink:
        """See Store."""
        return BlockSink(self.fd, self.name, self.slot.page, self.allocate)

    def allocate(self, pages: int) -> extent_map.Extents:
        """Return runs of so many pages. Raises OSError ENOSPC."""
        raise NotImplementedError


class OwnStore(BlockStore):
    """A device or file of its own: all of `runs` is free for the image."""

    def __init__(self, fd: int, name: str, header: StoreHeader, runs: extent_map.Extents) -> None:
        super().__init__(fd, name, header)
        self.runs = runs
        self._left = sum(runs.counts)
        self._run = 0
        self._within = 0

    @property
    def room(self) -> int:
        """See Store."""
        return sum(self.runs.counts) * PAGE_SIZE

    @property
    def is_untouched(self) -> bool:
        """Whether nothing is allocated."""
        return self._run == self._within == 0

    def attach(self, snapshot: SnapshotDevice) -> None:
        """See Store: the room is ours already."""

    def allocate(self, pages: int) -> extent_map.Extents:
        """See BlockStore."""
        if pages > self._left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._left -= pages
        found = extent_map.Extents()
        while pages:
            start, count = self.runs.starts[self._run], self.runs.counts[self._run]
            part = min(count - self._within, pages)
            found.add(start + self._within, part)
            pages -= part
            self._within += part
            if self._within == count:
                self._run, self._within = self._run + 1, 0
        return found

    def give_back(self) -> None:
        """See Store."""
        self._left = sum(self.runs.counts)
        self._run = 0
        self._within = 0
