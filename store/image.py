"""Opens the image in whatever holds one: an ordinary file, a store, a swap, or a copy of these."""

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from errors import Attempt, TorporError, UnreadableError
from format import PAGE_SIZE
from format.reader import Source
from linux import block
from linux.open_file import OpenFile
from linux.root import HOST, Root
from store.file import FileSource
from store.header import StoreHeader, read_header
from store.place import place_of


@contextmanager
def open_image(path: str) -> Iterator[Source]:
    """Open the image at `path` for reading.

    Raises NoImageError, DamagedError, UnsupportedError, UnreadableError.
    """
    with opened(path, os.O_RDONLY) as fd:
        status = os.fstat(fd)
        is_device = stat.S_ISBLK(status.st_mode)  # whose image ends where a mark says
        if not is_device and (status.st_size < PAGE_SIZE or read_header(fd, path).begins_image):
            yield FileSource(fd, path)
            return
    with open_header(path, os.O_RDONLY) as header:
        yield header.image()


@contextmanager
def open_header(path: str, flags: int) -> Iterator[StoreHeader]:
    """Open the store at `path`: a device, a copy of one, or a file with its place below.

    Raises UnreadableError, IncompleteError.
    """
    with opened(path, flags) as fd, ExitStack() as below:
        header = read_header(fd, path)
        yield _header_below(header, flags, below) or header


def _header_below(header: StoreHeader, flags: int, files: ExitStack) -> StoreHeader | None:
    """Return the header of a swap file or file store from where it really is, else None.

    A file store is written below its file system, which shows zeros instead; the mark in a swap
    file says in which page of the device it stands. None for a device, a copy of one, or where
    there is nothing to be had below.
    """
    if stat.S_ISBLK(os.fstat(header.fd).st_mode):
        return None
    try:
        mark = header.mark()
        if mark.page == 0 if mark else any(header.data):
            return None
        place = place_of(header.name)
        fd = files.enter_context(opened(place.device, flags))
        return read_header(fd, header.name, place.page)
    except TorporError:
        return None


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
