"""The first page of a store: a swap header with room for the mark.

On a swap partition it is mkswap's page, and only signature and mark ever change; both are back
as they were when the mark is cleared. A store device has the same page, so that UUID= and
LABEL= find it, with STORE_MAGIC at its start and ULSUSPEND always: nobody uses it as swap.
"""

from dataclasses import dataclass
from uuid import UUID, uuid4

from format.errors import DamagedError, UnsupportedError
from format.layout import MARK_MAGIC, MARK_SIZE, PAGE_SIZE
from format.mark import MARK_OFFSET, Mark, MarkState
from format.pipeline import PageBuffer
from kernel import swap
from store.blocks import read_pages, sync, write_pages
from store.errors import StoreRefusedError

STORE_MAGIC = b"TORPSTOR"
_MARK = slice(MARK_OFFSET, MARK_OFFSET + MARK_SIZE)
_SIGNATURE = slice(swap.SIGNATURE_OFFSET, PAGE_SIZE)


@dataclass(slots=True)
class StoreHeader:
    """The first page of the device or file that is open as `fd`, read past the page cache."""

    fd: int
    name: str
    page: memoryview

    @property
    def is_store_device(self) -> bool:
        """Whether mkstore prepared the device, and nothing made it swap since."""
        return self.page[: len(STORE_MAGIC)] == STORE_MAGIC and self.signature == swap.USER_IMAGE

    @property
    def signature(self) -> bytes:
        """The last ten bytes."""
        return bytes(self.page[_SIGNATURE])

    @property
    def swap_header(self) -> swap.SwapHeader:
        """The page's fields as a swap header."""
        return swap.SwapHeader.parse(self.page)

    def mark(self) -> Mark | None:
        """Return the mark, or None where there is none. Raises DamagedError, UnsupportedError."""
        if self.signature != swap.USER_IMAGE:
            return None
        mark = Mark.parse(self.page)
        if mark is None and self.is_store_device:
            raise DamagedError(f"the mark of the store {self.name} is gone")
        return mark

    def holds_image(self) -> bool:
        """Return whether Torpor put an image here, readable or not, that was not cleared."""
        if self.signature != swap.USER_IMAGE or not (self._has_mark() or self.is_store_device):
            return False
        try:
            mark = self.mark()
        except (DamagedError, UnsupportedError):
            return True
        return mark is not None and mark.state != MarkState.EMPTY

    def _has_mark(self) -> bool:
        return self.page[MARK_OFFSET : MARK_OFFSET + len(MARK_MAGIC)] == MARK_MAGIC

    def set_mark(self, mark: Mark) -> None:
        """Make the image visible: the mark first, the signature when that is on the device."""
        self.page[_MARK] = mark.build()
        self._write()
        if self.signature != swap.USER_IMAGE:
            self.page[_SIGNATURE] = swap.USER_IMAGE
            self._write()

    def clear(self) -> None:
        """Make a swap header what mkswap made it, or a store empty; on the device for good."""
        if self.is_store_device:
            self.page[_MARK] = _empty_mark()
        else:
            self.page[_SIGNATURE] = swap.SWAP
            self._write()
            self.page[_MARK] = bytes(MARK_SIZE)
        self._write()

    def check_markable(self) -> None:
        """Raise StoreRefusedError if this is a swap header that has no room for the mark."""
        fields = self.swap_header
        if self.signature != swap.SWAP or fields.version != 1:
            raise StoreRefusedError(f"{self.name} has no swap header of version 1")
        if self.page[: len(STORE_MAGIC)] == STORE_MAGIC:
            raise StoreRefusedError(
                f"{self.name} was a store, and its first page still says so",
                f"make its header anew: swapoff {self.name}; mkswap -U {fields.uuid} {self.name}",
            )
        if fields.bad_pages:
            raise StoreRefusedError(f"{self.name} has a list of bad pages: not supported")
        if any(self.page[_MARK]) and not self._has_mark():
            raise StoreRefusedError(
                f"{self.name} has data where the mark goes, at byte {MARK_OFFSET}",
                f"make its header anew: swapoff {self.name}; mkswap -U {fields.uuid} {self.name}",
            )

    def _write(self) -> None:
        write_pages(self.fd, self.name, 0, self.page)
        sync(self.fd, self.name)


def read_header(fd: int, name: str) -> StoreHeader:
    """Return the first page. Raises IncompleteError, UnreadableError."""
    page = PageBuffer(PAGE_SIZE).view
    read_pages(fd, name, 0, page)
    return StoreHeader(fd, name, page)


def new_store_header(fd: int, name: str, pages: int) -> UUID:
    """Write the first page of an empty store of so many pages, return its UUID."""
    store_uuid = uuid4()
    page = PageBuffer(PAGE_SIZE).view
    page[:] = swap.build_header(pages - 1, store_uuid, "", swap.USER_IMAGE)
    page[: len(STORE_MAGIC)] = STORE_MAGIC
    page[_MARK] = _empty_mark()
    write_pages(fd, name, 0, page)
    sync(fd, name)
    return store_uuid


def _empty_mark() -> bytes:
    return Mark(MarkState.EMPTY, UUID(int=0), 0, 0, 0).build()
