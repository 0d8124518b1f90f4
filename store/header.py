"""The first page of an open store: read and written past the page cache, each write synced.

In swap it is mkswap's page, and only signature and mark ever change; both are back as they were
when the mark is cleared. A store of its own, device or file, has the same page, so that UUID= and
LABEL= find a device, with TORPSTOR at its start and ULSUSPEND always: nobody uses it as swap.
"""

from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from errors import DamagedError, ForeignError, StoreRefusedError, TorporError, command
from format import PAGE_SIZE
from format.first_page import (
    MARK_OFFSET,
    SIGNATURE_OFFSET,
    SWAP,
    USER_IMAGE,
    empty_store,
)
from format.layout import MARK_SIZE
from format.mark import Mark, read_map
from format.pipeline import PageBuffer
from linux import block
from store.blocks import BlockSource, read_at, sync, write_pages
from store.protocol import PageSlot, Retreat, nothing

if TYPE_CHECKING:
    from format.sealing import ImageKey

_MARK = slice(MARK_OFFSET, MARK_OFFSET + MARK_SIZE)
_SIGNATURE = slice(SIGNATURE_OFFSET, PAGE_SIZE)


class StoreHeader(PageSlot):
    """The first page of the store on the device or file `name`, which is open as `fd`.

    `page` is its number there: 0 unless the store is a file on the device.
    """

    data: memoryview

    def __init__(self, fd: int, name: str, page: int, data: memoryview) -> None:
        super().__init__(data)
        self.fd = fd
        self.name = name
        self.page = page
        self.key: ImageKey | None = None
        self.retreat: Retreat | None = None
        self.spend = nothing

    def mark(self) -> Mark | None:
        """Return the mark, or None where there is none. Raises DamagedError, UnsupportedError."""
        return Mark.parse(self.data, self.key) if self.signature == USER_IMAGE else None

    def is_in_place(self) -> bool:
        """See Slot: a copy of a swap file has the original's mark."""
        try:
            mark = self.mark()
        except TorporError:
            return True
        return mark is None or mark.page == self.page

    def write_mark(self, mark: bytes) -> None:
        """Make the image visible: the mark first, the signature when that is on the device."""
        self.data[_MARK] = mark
        self._write()
        if self.signature != USER_IMAGE:
            self.data[_SIGNATURE] = USER_IMAGE
            self._write()

    def clear(self) -> None:
        """Make a swap header what mkswap made it, or a store empty; on the device for good."""
        if not self.is_store:
            self.data[_SIGNATURE] = SWAP
            self._write()
        self.data[_MARK] = bytes(MARK_SIZE)
        self._write()

    def contents(self) -> str:
        """See Slot."""
        return self.describe(self.name)

    def written_mark(self) -> Mark | None:
        """See Slot: what was written by who is gone may still be in the device's cache."""
        sync(self.fd, self.name)
        read_at(self.fd, self.name, self.page * PAGE_SIZE, self.data)
        return Mark.parse(self.data)

    def source(self, mark: Mark) -> BlockSource:
        """See Slot: the map is read from the device."""
        if mark.page != self.page:
            raise DamagedError(
                f"the mark on {self.name} belongs at page {mark.page}, not {self.page}"
            )
        device_pages = block.size_of(self.fd) // PAGE_SIZE
        extents = read_map(mark, self._page_at, device_pages, self.key)
        return BlockSource(self.fd, self.name, extents, mark, self.key)

    def superblock(self, mark: Mark) -> memoryview:
        """See Slot."""
        if not mark.header_page:
            raise ForeignError(f"the image on {self.name} is not sealed")
        if mark.header_page >= block.size_of(self.fd) // PAGE_SIZE:
            raise DamagedError(f"the mark on {self.name} names a superblock beyond its end")
        return self._page_at(mark.header_page)

    def write_superblock(self, mark: Mark, data: bytes) -> None:
        """See Slot."""
        buffer = self.superblock(mark)
        buffer[:] = data
        write_pages(self.fd, self.name, mark.header_page, buffer)
        sync(self.fd, self.name)

    def tidy(self) -> None:
        """See Slot: the next image lies where this one did."""

    def _page_at(self, page: int) -> memoryview:
        buffer = PageBuffer(PAGE_SIZE).view
        read_at(self.fd, self.name, page * PAGE_SIZE, buffer)
        return buffer

    def check_markable(self) -> None:
        """Raise StoreRefusedError if this is a swap header that has no room for the mark."""
        off, make = command("swapoff", self.name), command("mkswap", "-U", self.uuid, self.name)
        anew = f"rewrite its header: {off}; {make}"
        if self.signature != SWAP or self.swap_version != 1:
            raise StoreRefusedError(f"{self.name} has no swap header of version 1")
        if self.has_store_magic:
            raise StoreRefusedError(
                f"{self.name} was a store, and its first page still says so", anew
            )
        if self.bad_pages:
            raise StoreRefusedError(f"{self.name} has a list of bad pages: not supported")
        if any(self.data[_MARK]) and not self.has_mark_magic:
            raise StoreRefusedError(
                f"{self.name} has data where the mark goes, at byte {MARK_OFFSET}", anew
            )

    def _write(self) -> None:
        write_pages(self.fd, self.name, self.page, self.data)
        sync(self.fd, self.name)


def read_header(fd: int, name: str, page: int = 0) -> StoreHeader:
    """Return the first page of the store that begins at this page of the device or file.

    Raises IncompleteError, UnreadableError.
    """
    data = PageBuffer(PAGE_SIZE).view
    read_at(fd, name, page * PAGE_SIZE, data)
    return StoreHeader(fd, name, page, data)


def new_store_header(fd: int, name: str, pages: int, page: int = 0) -> UUID:
    """Write the first page of an empty store of so many pages, return its UUID.

    The signature comes when the rest is on the device: a power cut between two sectors would else
    put it above the mark of an image that was here before.
    """
    store_uuid = uuid4()
    made = empty_store(pages, store_uuid.bytes)
    data = PageBuffer(PAGE_SIZE).view
    for whole in (made[:SIGNATURE_OFFSET].ljust(PAGE_SIZE, b"\0"), made):
        data[:] = whole
        write_pages(fd, name, page, data)
        sync(fd, name)
    return store_uuid
