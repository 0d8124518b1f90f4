"""Opens the image in whatever holds one: an ordinary file, a store, a swap, or a copy of these."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from format.errors import DamagedError, NoImageError, UnreadableError
from format.layout import PAGE_SIZE, SUPERBLOCK_MAGIC
from format.mark import read_map
from format.pipeline import PageBuffer
from format.reader import Source
from kernel import block, swap
from store.blocks import BlockSource, read_pages
from store.errors import cannot
from store.file import FileSource
from store.header import StoreHeader, read_header


@contextmanager
def open_image(path: str) -> Iterator[Source]:
    """Open the image at `path` for reading.

    Raises NoImageError, DamagedError, UnsupportedError, UnreadableError.
    """
    with opened(path, os.O_RDONLY) as fd:
        yield find_image(fd, path)


@contextmanager
def opened(path: str, flags: int) -> Iterator[int]:
    """Open a file or block device, a device past the page cache. Raises UnreadableError."""
    try:
        mode = os.stat(path).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            raise UnreadableError(f"{path} is neither a file nor a block device")
        fd = block.open_direct(path, flags)
    except OSError as error:
        raise cannot("open", path, error) from error
    try:
        yield fd
    finally:
        os.close(fd)


def find_image(fd: int, name: str) -> Source:
    """Return the image that the open file or device holds, by what its first page says."""
    if _is_plain_image(fd, name):
        return FileSource(fd, name)
    return marked_image(read_header(fd, name))


def marked_image(header: StoreHeader) -> BlockSource:
    """Return the image that the mark in the header makes visible."""
    mark = header.mark()
    if mark is None:
        raise NoImageError(f"no image: {_describe(header)}")
    if mark.first_page != header.at:
        raise DamagedError(
            f"the mark on {header.name} belongs at page {mark.first_page}, not {header.at}"
        )
    device_pages = block.size_of(header.fd) // PAGE_SIZE
    extents = read_map(mark, lambda page: _read_page(header, page), device_pages)
    return BlockSource(header.fd, header.name, extents, mark)


def _is_plain_image(fd: int, name: str) -> bool:
    """Return whether this is an image by itself: a device says by a mark where its image ends."""
    status = os.fstat(fd)
    if stat.S_ISBLK(status.st_mode):
        return False
    if status.st_size < PAGE_SIZE:
        return True
    return read_header(fd, name).page[: len(SUPERBLOCK_MAGIC)] == SUPERBLOCK_MAGIC


def _read_page(header: StoreHeader, page: int) -> memoryview:
    buffer = PageBuffer(PAGE_SIZE).view
    read_pages(header.fd, header.name, page, buffer)
    return buffer


def _describe(header: StoreHeader) -> str:
    """Say what is there instead of an image."""
    if header.page[: len(SUPERBLOCK_MAGIC)] == SUPERBLOCK_MAGIC:
        return f"{header.name} holds an image's bytes, but no mark: copy them to a file"
    if header.is_store:
        return f"the store {header.name} is empty"
    if header.signature == swap.SWAP:
        return f"{header.name} is swap without an image"
    if header.signature == swap.KERNEL_IMAGE:
        return f"{header.name} holds an image of the kernel's own"
    if header.signature == swap.USER_IMAGE:
        return f"{header.name} holds an image of another program"
    return f"{header.name} is neither an image, nor a store, nor swap"
