"""The stores on block devices: what does not depend on their kind, and a device of its own."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from uuid import UUID

from errors import (
    Attempt,
    DeviceNotFoundError,
    StoreRefusedError,
    UnreadableError,
    cannot,
    command,
)
from format import PAGE_SIZE
from format.mark import Extents
from format.pipeline import PageBuffer
from linux import block, programs
from linux.open_file import OpenFile
from linux.proc import lines
from linux.root import HOST, Root
from linux.snapshot import SnapshotDevice
from store.blocks import BlockSink
from store.header import StoreHeader, new_store_header, read_header
from store.identity import refuse_others
from store.place import refuse_volatile
from store.snapshot import open_snapshot
from store.supply import Supply

SMALLEST_SIZE = 1 << 20
"""Bytes of a store."""

_END, _PIECE, _PLACES = 1 << 20, 128 << 10, 64
"""What mkstore looks at of a device; see `_sample`."""


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

    @property
    def is_on_server(self) -> bool:
        """See Store."""
        return False

    def clear_alone(self) -> None:
        """See Store.

        While a device is swap, only who has set it there may write to it (block/fops.c,
        blkdev_write_iter: ETXTBSY unless is_hibernate_resume_dev).
        """
        with open_snapshot(os.O_RDONLY) as snapshot:
            self.attach(snapshot)
            self.slot.clear()

    def attach(self, snapshot: SnapshotDevice) -> None:
        """See Store."""
        raise NotImplementedError

    def sink(self) -> BlockSink:
        """See Store."""
        return BlockSink(self.fd, self.name, self.slot.page, self.allocate)

    def allocate(self, pages: int) -> Extents:
        """Return runs of so many pages. Raises OSError ENOSPC."""
        raise NotImplementedError


class OwnStore(BlockStore):
    """A device or file of its own: all of `runs` is free for the image."""

    def __init__(self, fd: int, name: str, header: StoreHeader, runs: Extents) -> None:
        super().__init__(fd, name, header)
        self.runs = runs
        self._supply = Supply(runs)

    @property
    def room(self) -> int:
        """See Store."""
        return sum(self.runs.counts) * PAGE_SIZE

    @property
    def is_untouched(self) -> bool:
        """Whether nothing is allocated."""
        return self._supply.left * PAGE_SIZE == self.room

    def attach(self, snapshot: SnapshotDevice) -> None:
        """See Store: the room is ours already."""

    def begin_ahead(self, size: int) -> None:
        """See Store: the room is ours already."""

    def end_ahead(self) -> None:
        """See Store."""

    def allocate(self, pages: int) -> Extents:
        """See BlockStore."""
        if pages > self._supply.left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._supply.take(pages)


class DeviceStore(OwnStore):
    """A device that mkstore prepared, claimed for as long as this is open."""

    def __init__(self, path: str) -> None:
        """Open what store.find has found. Raises StoreRefusedError if it is in use or changed."""
        with ExitStack() as on_error:
            device = on_error.enter_context(claim(path))
            header = read_header(device.fd, path)
            if not header.is_store:
                raise StoreRefusedError(f"{path} is no store any more")
            runs = Extents()
            runs.add(1, block.size_of(device.fd) // PAGE_SIZE - 1)
            on_error.pop_all()
        super().__init__(device.fd, path, header, runs)


def make_store(path: str, discard: Callable[[StoreHeader], None], *, force: bool = False) -> UUID:
    """Prepare the device as an empty store, return the UUID that finds it.

    `discard` throws away the image that it holds. Raises StoreRefusedError if it is in use, too
    small, or, unless `force`, holds something that is no store, OtherInstallationError for an image
    of another system, UnreadableError, and what `discard` does.
    """
    with claim(path) as device:
        refuse_volatile(path, path)
        pages = block.size_of(device.fd) // PAGE_SIZE
        if pages * PAGE_SIZE < SMALLEST_SIZE:
            raise StoreRefusedError(f"{path} is too small for a store: {pages * PAGE_SIZE} bytes")
        header = read_header(device.fd, path)
        if not force:
            refuse_others(header)
            if not header.is_store:
                _refuse_contents(path, device.fd, pages * PAGE_SIZE)
        if header.holds_image():
            discard(header)
        if force:
            _wipe(path)
        return new_store_header(device.fd, path, pages)


def claim(path: str, flags: int = os.O_RDWR | os.O_DIRECT, root: Root = HOST) -> OpenFile:
    """Open a block device that nothing else uses; past the page cache, unless told otherwise.

    Raises DeviceNotFoundError, StoreRefusedError, UnreadableError.
    """
    if not root.exists(path):
        raise DeviceNotFoundError(f"{path} does not exist")
    if not root.device_number(path):
        raise StoreRefusedError(f"{path} is not a block device")
    if PAGE_SIZE % root.sector_size(path):
        raise StoreRefusedError(f"{path} has sectors larger than a page")
    try:
        return OpenFile(block.claim(root.path(path), flags))
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise StoreRefusedError(
                f"{path} is in use: mounted, swap, or part of another device"
            ) from error
        raise cannot("open", path, error) from error


def _wipe(path: str) -> None:
    """Take away what tells others that the device is theirs, wherever on it that stands."""
    with Attempt("run", "wipefs, which takes away what the device held"):
        wiped = programs.run(["wipefs", "--all", "--force", path])
    if wiped.returncode:
        raise UnreadableError(f"{path} cannot be wiped: {'; '.join(lines(wiped.stderr))}")


def _refuse_contents(path: str, fd: int, size: int) -> None:
    """Raise StoreRefusedError if the device holds something."""
    if found := _known(path) or _unknown(path, fd, size):
        raise StoreRefusedError(
            f"{path} holds something already: {found}",
            f"if that can go: {command('torpor', 'mkstore', '--force', path)}",
        )


def _unknown(path: str, fd: int, size: int) -> str:
    """Return what to call contents that blkid does not know, "" where the sample is zeros.

    An archive, say, what is encrypted without a header (VeraCrypt, plain dm-crypt), or partitions
    whose table was lost.
    """
    view = PageBuffer(_END).view
    for at, room in _sample(size):
        with Attempt("read", path):
            got = os.preadv(fd, [view[:room]], at)
        if found := bytes(view[:got]).lstrip(b"\0"):
            return f"bytes that are not zero, at {at + got - len(found)}"
    return ""


def _sample(size: int) -> Iterator[tuple[int, int]]:
    """Yield offset and size of what mkstore looks at: 18 MiB in 129 places, a second on a disk.

    Both ends; of each of the first MiBs, one of which the first partition begins with, as much as
    shows the superblock of a btrfs; and the same of as many places between.
    """
    yield from ((at, _END) for at in (0, max(0, size - _END)))
    between = (size * nth // _PLACES >> 20 for nth in range(_PLACES))
    for mib in sorted({*range(_PLACES), *between}):
        if mib << 20 < size:
            yield mib << 20, _PIECE


def _known(path: str) -> str:
    """Return what blkid finds on the device, "" for nothing (exit code 2, blkid(8))."""
    with Attempt("run", "blkid, which tells whether the device is empty"):
        found = programs.run(["blkid", "--probe", path])
    if found.returncode == 2 and not found.stderr:
        return ""
    said = found.stdout.partition(": ")[2].strip() or "; ".join(lines(found.stderr))
    return said or "unclear contents"
