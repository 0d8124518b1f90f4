"""The first page of a store: a swap header with room for the mark.

In swap it is mkswap's page, and only signature and mark ever change; both are back as they were
when the mark is cleared. A store of its own, device or file, has the same page, so that UUID= and
LABEL= find a device, with TORPSTOR at its start and ULSUSPEND always: nobody uses it as swap.
"""

from dataclasses import dataclass
from uuid import UUID, uuid4

from errors import StoreRefusedError
from format.layout import MARK_SIZE, PAGE_SIZE
from format.mark import MARK_OFFSET, Mark
from format.pipeline import PageBuffer
from linux import swap
from store import first_page
from store.blocks import read_pages, sync, write_pages

_MARK = slice(MARK_OFFSET, MARK_OFFSET + MARK_SIZE)
_SIGNATURE = slice(swap.SIGNATURE_OFFSET, PAGE_SIZE)


@dataclass(slots=True)
class StoreHeader:
    """The first page of the store that is on what is open as `fd`, read past the page cache."""

    fd: int
    name: str
    at: int
    """Number of the page: 0 unless the store is a file on the device."""
    page: memoryview

    @property
    def is_store(self) -> bool:
        """Whether mkstore prepared the device or file, and nothing made it swap since."""
        return first_page.is_store(self.page)

    @property
    def signature(self) -> bytes:
        """The last ten bytes."""
        return first_page.signature_of(self.page)

    @property
    def swap_header(self) -> swap.SwapHeader:
        """The page's fields as a swap header."""
        return swap.SwapHeader.parse(self.page)

    def mark(self) -> Mark | None:
        """Return the mark, or None where there is none. Raises DamagedError, UnsupportedError."""
        return Mark.parse(self.page) if self.signature == swap.USER_IMAGE else None

    def holds_image(self) -> bool:
        """Return whether Torpor put an image here, readable or not, that was not cleared."""
        return first_page.holds_image(self.page)

    def set_mark(self, mark: Mark) -> None:
        """Make the image visible: the mark first, the signature when that is on the device."""
        self.page[_MARK] = mark.build()
        self._write()
        if self.signature != swap.USER_IMAGE:
            self.page[_SIGNATURE] = swap.USER_IMAGE
            self._write()

    def clear(self) -> None:
        """Make a swap header what mkswap made it, or a store empty; on the device for good."""
        if not self.is_store:
            self.page[_SIGNATURE] = swap.SWAP
            self._write()
        self.page[_MARK] = bytes(MARK_SIZE)
        self._write()

    def check_markable(self) -> None:
        """Raise StoreRefusedError if this is a swap header that has no room for the mark."""
        fields = self.swap_header
        if self.signature != swap.SWAP or fields.version != 1:
            raise StoreRefusedError(f"{self.name} has no swap header of version 1")
        if first_page.has_store_magic(self.page):
            raise StoreRefusedError(
                f"{self.name} was a store, and its first page still says so",
                f"make its header anew: swapoff {self.name}; mkswap -U {fields.uuid} {self.name}",
            )
        if fields.bad_pages:
            raise StoreRefusedError(f"{self.name} has a list of bad pages: not supported")
        if any(self.page[_MARK]) and not first_page.has_mark_magic(self.page):
            raise StoreRefusedError(
                f"{self.name} has data where the mark goes, at byte {MARK_OFFSET}",
                f"make its header anew: swapoff {self.name}; mkswap -U {fields.uuid} {self.name}",
            )

    def _write(self) -> None:
        write_pages(self.fd, self.name, self.at, self.page)
        sync(self.fd, self.name)


def read_header(fd: int, name: str, at: int = 0) -> StoreHeader:
    """Return the first page of the store that begins at page `at` of the device or file.

    Raises IncompleteError, UnreadableError.
    """
    page = PageBuffer(PAGE_SIZE).view
    read_pages(fd, name, at, page)
    return StoreHeader(fd, name, at, page)


def new_store_header(fd: int, name: str, pages: int, at: int = 0) -> UUID:
    """Write the first page of an empty store of so many pages, return its UUID."""
    store_uuid = uuid4()
    page = PageBuffer(PAGE_SIZE).view
    page[:] = swap.build_header(pages - 1, store_uuid, "", swap.USER_IMAGE)
    page[: len(first_page.STORE_MAGIC)] = first_page.STORE_MAGIC
    write_pages(fd, name, at, page)
    sync(fd, name)
    return store_uuid
