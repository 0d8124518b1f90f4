"""An image over runs of pages of a device, read and written past the page cache."""

import errno
import os
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING
from uuid import UUID

from errors import Attempt, IncompleteError, NoSpaceError, cannot
from format import PAGE_SIZE
from format.mark import MAX_EXTENTS, Extents, Mark, MarkState, build_map, map_pages
from format.pipeline import THREADS, Job, PageBuffer, Threads
from format.sink import Wait
from store.protocol import MarkedSource

if TYPE_CHECKING:
    from format.sealing import ImageKey

WRITES = 2 + THREADS // 4
"""Writes under way at once. Where the queue of a device is shorter, the kernel lets them wait."""

Allocate = Callable[[int], Extents]
"""Return runs of that many pages in all. Raises OSError ENOSPC where there are not as many."""


class BlockSource(MarkedSource):
    """A format.reader.Source: what `mark` says of the bytes that lie in `extents` on a device."""

    threads = THREADS

    def __init__(
        self, fd: int, name: str, extents: Extents, mark: Mark, key: "ImageKey | None" = None
    ) -> None:
        super().__init__(name, mark, key)
        self._fd = fd
        self.extents = extents
        # The number, within the image, of each extent's first page.
        self._firsts = array("Q", accumulate(extents.counts, initial=0))

    def read(self, offset: int, size: int, buffer: memoryview) -> memoryview:
        """See format.reader.Source."""
        self.check_inside(offset, size)
        page, skip = divmod(offset, PAGE_SIZE)
        room = buffer[: -(-(skip + size) // PAGE_SIZE) * PAGE_SIZE]
        nth = bisect_right(self._firsts, page) - 1
        while room:
            within = page - self._firsts[nth]
            count = min(self.extents.counts[nth] - within, len(room) // PAGE_SIZE)
            part = room[: count * PAGE_SIZE]
            start = (self.extents.starts[nth] + within) * PAGE_SIZE
            read_at(self._fd, self._name, start, part)
            room = room[len(part) :]
            page += count
            nth += 1
        return buffer[skip : skip + size]

    def reading_ahead(self, *_: int) -> AbstractContextManager[None]:
        """See format.reader.Source: threads enough are reading."""
        return nullcontext()


def read_at(fd: int, name: str, offset: int, room: memoryview) -> None:
    """Fill `room` from this byte of a file or device on. Raises IncompleteError at its end."""
    done = 0
    while done < len(room):
        with Attempt("read", f"{name} at byte {offset + done}"):
            got = os.preadv(fd, [room[done:]], offset + done)
        if not got:
            raise IncompleteError(f"{name} ends at byte {offset + done}")
        done += got


def write_pages(fd: int, name: str, page: int, data: memoryview) -> None:
    """Write `data`, aligned whole pages, at this page of the device."""
    done = 0
    while done < len(data):
        with Attempt("write", f"{name} at byte {page * PAGE_SIZE + done}"):
            done += os.pwritev(fd, [data[done:]], page * PAGE_SIZE + done)


class BlockSink:
    """A format.writer.Sink that has several writes under way, from the memory that it is given.

    Room is got by the thread that calls, since the device writes meanwhile. To be closed.
    """

    threads = THREADS

    def __init__(self, fd: int, name: str, page: int, allocate: Allocate) -> None:
        """`page` is where the store begins on the device."""
        self._fd = fd
        self._name = name
        self._page = page
        self._allocate = allocate
        self.behind = WRITES
        """See format.writer.Sink."""
        self._writers = Threads(WRITES)
        self._begun: deque[Job[None]] = deque()
        self.extents = Extents()
        """Where the image lies, as far as its writing has begun."""

    def write(self, pages: memoryview) -> Wait:
        """See format.writer.Sink. Raises NoSpaceError; UnreadableError, of earlier writes too."""
        runs = self.allocate(len(pages) // PAGE_SIZE)
        for start, count in runs:
            self.extents.add(start, count)
        while self._begun and self._begun[0].is_done:
            self._begun.popleft().result()
        job = self._writers.begin(partial(self._write_runs, runs, pages))
        self._begun.append(job)
        return job.result

    def finish(self, image_uuid: UUID, image_size: int, key: "ImageKey | None" = None) -> Mark:
        """Write the map of all; return the mark that makes the image visible.

        `key` is that of a sealed image. All is on the device for good. Raises NoSpaceError,
        UnreadableError.
        """
        while self._begun:
            self._begun.popleft().result()
        self.close()
        sync(self._fd, self._name)
        first = self._write_map(image_uuid, key)
        extents, header = len(self.extents), self.extents.starts[0] if key else 0
        mark = Mark(MarkState.COMPLETE, image_uuid, image_size, first, extents, self._page)
        return mark._replace(header_page=header)

    def _write_map(self, image_uuid: UUID, key: "ImageKey | None") -> int:
        """Write the map of the image, and wait for it; return its first page."""
        if len(self.extents) > MAX_EXTENTS:
            raise NoSpaceError(
                f"the free room on {self._name} is in {len(self.extents)} pieces, more than can be "
                "recorded",
                "use a store device, or empty the swap: swapoff -a; swapon -a",
            )
        runs = self.allocate(map_pages(len(self.extents)))
        pages = [page for start, count in runs for page in range(start, start + count)]
        contents = build_map(self.extents, image_uuid, pages, key)
        buffer = PageBuffer(PAGE_SIZE).view
        for page, data in zip(pages, contents, strict=True):
            buffer[:] = data
            write_pages(self._fd, self._name, page, buffer)
        sync(self._fd, self._name)
        return pages[0]

    def close(self) -> None:
        """End the threads; what they have not begun to write is not written."""
        self._writers.close()

    def _write_runs(self, runs: Extents, data: memoryview) -> None:
        for start, count in runs:
            size = count * PAGE_SIZE
            write_pages(self._fd, self._name, start, data[:size])
            data = data[size:]

    def allocate(self, pages: int) -> Extents:
        """Return runs of so many pages on the device. Raises NoSpaceError."""
        try:
            return self._allocate(pages)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise cannot("get room on", self._name, error) from error
            done = sum(self.extents.counts) * PAGE_SIZE >> 20
            raise NoSpaceError(
                f"no room left on {self._name} after {done} MiB of the image",
                "use a larger store, or a smaller image with --image-size",
            ) from error


def sync(fd: int, name: str) -> None:
    """Wait until the device has everything for good."""
    with Attempt("sync", name):
        os.fsync(fd)
