"""What the stores that a hibernation writes to have in common."""

import errno
import os
from typing import Protocol, Self
from uuid import UUID

from errors import NoSpaceError
from format import PAGE_SIZE, extent_map
from format.mark import Mark, MarkState
from format.pipeline import PageBuffer
from linux.snapshot import SnapshotDevice
from store.blocks import BlockSink, sync, write_pages
from store.header import StoreHeader


class Store(Protocol):
    """A device that can take an image: `attach`, then mark what a BlockSink has put there."""

    name: str
    header: StoreHeader

    @property
    def size(self) -> int:
        """Bytes that an image may take here."""

    def __enter__(self) -> Self:
        """Let go of it at the end of the `with` block."""

    def __exit__(self, *_: object) -> None:
        """See __enter__."""

    def attach(self, snapshot: SnapshotDevice) -> None:
        """Say from which snapshot device the store gets what it needs. Raises OSError."""

    def allocate(self, pages: int) -> extent_map.Extents:
        """Return runs of so many pages. Raises OSError ENOSPC."""

    def give_back(self) -> None:
        """Give back all that `allocate` took: the image is not to be."""


class OpenStore:
    """The parts of a Store that do not depend on its kind."""

    def __init__(self, fd: int, name: str, header: StoreHeader) -> None:
        self.fd = fd
        self.name = name
        self.header = header

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it."""
        os.close(self.fd)


class OwnStore(OpenStore):
    """A device or file of its own: all of `runs` is free for the image."""

    def __init__(self, fd: int, name: str, header: StoreHeader, runs: extent_map.Extents) -> None:
        super().__init__(fd, name, header)
        self.runs = runs
        self._left = sum(runs.counts)
        self._run = 0
        self._within = 0

    @property
    def size(self) -> int:
        """See Store."""
        return sum(self.runs.counts) * PAGE_SIZE

    @property
    def is_untouched(self) -> bool:
        """Whether nothing is allocated."""
        return self._run == self._within == 0

    def attach(self, snapshot: SnapshotDevice) -> None:
        """See Store: the room is ours already."""

    def allocate(self, pages: int) -> extent_map.Extents:
        """See Store."""
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


def write_map(store: Store, sink: BlockSink, image_uuid: UUID, image_size: int) -> Mark:
    """Write the map of the image that the sink has finished, and wait until it is on the device.

    Returns the mark that makes the image visible. Raises NoSpaceError, UnreadableError.
    """
    extents = sink.extents
    if len(extents) > extent_map.MAX_EXTENTS:
        raise NoSpaceError(
            f"the free room on {store.name} is in {len(extents)} pieces, more than can be recorded",
            "use a store device, or empty the swap: swapoff -a; swapon -a",
        )
    pages = [
        page
        for start, count in sink.allocate(extent_map.map_pages(len(extents)))
        for page in range(start, start + count)
    ]
    buffer = PageBuffer(PAGE_SIZE).view
    fd = store.header.fd
    for page, data in zip(pages, extent_map.build_map(extents, image_uuid, pages), strict=True):
        buffer[:] = data
        write_pages(fd, store.name, page, buffer)
    sync(fd, store.name)
    return Mark(
        MarkState.COMPLETE,
        image_uuid,
        image_size,
        pages[0],
        len(extents),
        store.header.page,
    )
