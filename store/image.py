"""The image in whatever holds one: an ordinary file, a store, a swap, or a copy of these."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import (
    AbstractContextManager,
    ExitStack,
    closing,
    contextmanager,
    nullcontext,
    suppress,
)
from typing import TYPE_CHECKING

from errors import Attempt, StoreRefusedError, TorporError, UnreadableError, cannot
from format import PAGE_SIZE
from format.layout import SUPERBLOCK_SIZE
from format.pipeline import THREADS
from format.reader import Source, read_superblock
from format.reader import read_at as read_image
from format.sink import Wait, at_once
from linux import block
from linux.installation import machine_id
from linux.open_file import OpenFile
from linux.root import HOST, Root
from s3.scheme import is_server
from state.files import NewFile
from store.blocks import read_at
from store.header import StoreHeader, read_header
from store.protocol import PageSlot, Slot

if TYPE_CHECKING:
    from format.sealing import ImageKey

_WRITE_OUT = 8 << 20
"""Bytes."""


class FileSource:
    """A format.reader.Source: the whole of an ordinary file."""

    image_uuid = None
    threads = THREADS

    def __init__(self, fd: int, name: str) -> None:
        self._fd = fd
        self._name = name
        self.size = os.fstat(fd).st_size
        self.key: ImageKey | None = None

    def read(self, offset: int, size: int, buffer: memoryview) -> memoryview:
        """See format.reader.Source."""
        read_at(self._fd, self._name, offset, buffer[:size])
        return buffer[:size]

    def reading_ahead(self, *_: int) -> AbstractContextManager[None]:
        """See format.reader.Source: the kernel does."""
        return nullcontext()


class FileSink:
    """A format.writer.Sink that appends to an open descriptor."""

    behind = 0
    threads = THREADS

    def __init__(self, fd: int, name: str) -> None:
        self._fd = fd
        self._name = name
        self._written = 0
        self._sent = 0

    def write(self, data: memoryview) -> Wait:
        """See format.writer.Sink; any bytes. Raises UnreadableError, BrokenPipeError."""
        rest = data
        while rest:
            try:
                done = os.write(self._fd, rest)
            except BrokenPipeError:
                raise
            except OSError as error:
                raise cannot("write", self._name, error) from error
            rest = rest[done:]
        self._written += len(data)
        if self._written - self._sent >= _WRITE_OUT:
            self._write_out()
        return at_once

    def _write_out(self) -> None:
        """Have the kernel begin to write, so that the fsync in the end is short."""
        size, self._sent = self._written - self._sent, self._written
        with suppress(OSError):  # advice: a pipe takes none
            os.posix_fadvise(self._fd, self._written - size, size, os.POSIX_FADV_DONTNEED)


@contextmanager
def new_file(path: str) -> Iterator[int]:
    """Open a new file and give it its name when it is whole and synced, replacing another.

    A pipe or a character device is written directly; a block device is refused.
    """
    mode = os.stat(path).st_mode if os.path.exists(path) else stat.S_IFREG
    if stat.S_ISBLK(mode):
        raise StoreRefusedError(f"{path} is a block device, not a file")
    if stat.S_ISREG(mode):
        with NewFile(path) as file:
            yield file.fd
        return
    with Attempt("write", path):
        other = OpenFile(os.open(path, os.O_WRONLY | os.O_CLOEXEC))
    with other:
        yield other.fd


Unlock = Callable[[memoryview], "ImageKey"]
"""Returns the key of a sealed image by its superblock. Raises ForeignError, LockedError."""


@contextmanager
def open_image(path: str, unlock: Unlock | None = None) -> Iterator[Source]:
    """Open the image at `path` for reading; with `unlock` it has to be sealed.

    Raises NoImageError, DamagedError, UnsupportedError, UnreadableError, and what `unlock` does.
    """
    if is_server(path):
        with open_header(path, os.O_RDONLY) as slot:
            yield _unlocked(slot, unlock)
        return
    with opened(path, os.O_RDONLY) as fd:
        status = os.fstat(fd)
        is_device = stat.S_ISBLK(status.st_mode)  # whose image ends where a mark says
        if not is_device and (status.st_size < PAGE_SIZE or read_header(fd, path).begins_image):
            source = FileSource(fd, path)
            if unlock:
                read_superblock(source)
                source.key = unlock(read_image(source, 0, SUPERBLOCK_SIZE))
            yield source
            return
    with open_header(path, os.O_RDONLY) as slot:
        yield _unlocked(slot, unlock)


def _unlocked(slot: Slot, unlock: Unlock | None) -> Source:
    """Return the image in the slot, with its key where `unlock` gives one."""
    if unlock and (mark := slot.mark()):
        slot.key = unlock(slot.superblock(mark))
    return slot.image()


@contextmanager
def open_header(path: str, flags: int) -> Iterator[PageSlot]:
    """Open the store at `path`: a device, a copy of one, a file with its place below, or a URL.

    Raises UnreadableError, IncompleteError, and for a URL as store.server.store.open_head.
    """
    if is_server(path):
        from store.server.store import open_head  # HTTP and TLS, for such a store only

        with closing(open_head(path, machine_id())) as head:
            yield head
        return
    with opened(path, flags) as fd, ExitStack() as below:
        header = read_header(fd, path)
        yield _header_below(header, flags, below) or header


def _header_below(header: StoreHeader, flags: int, files: ExitStack) -> StoreHeader | None:
    """Return the header of a swap file or file store from where it really is, else None.

    A file store is written below its file system, which shows zeros instead; the mark in a swap
    file says in which page of the device it stands. None for a device, a copy of one or of a swap
    file, or where there is nothing to be had below: what is written to that goes to the file alone.
    """
    if stat.S_ISBLK(os.fstat(header.fd).st_mode):
        return None
    from store.place import place_of  # mounts and extents, for files only

    try:
        mark = header.mark()
        if mark.page == 0 if mark else any(header.data):
            return None
        place = place_of(header.name)
        fd = files.enter_context(opened(place.device, flags))
        below = read_header(fd, header.name, place.page)
    except TorporError:
        return None
    # The file system shows what it has read once, whatever is written below: swapon would see that.
    files.callback(os.posix_fadvise, header.fd, 0, 0, os.POSIX_FADV_DONTNEED)
    return below if below.is_in_place() else None


@contextmanager
def opened(path: str, flags: int, root: Root = HOST) -> Iterator[int]:
    """Open a file or block device, a device past the page cache. Raises UnreadableError."""
    with Attempt("open", path):
        mode = os.stat(root.path(path)).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            raise UnreadableError(f"{path} is neither a file nor a block device")
        file = OpenFile(block.open_direct(root.path(path), flags))
    with file:
        yield file.fd
