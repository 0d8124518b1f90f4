"""The head of a store on a server: one object with the mark, which is compared and set.

Its first page is that of a store device, its second one the superblock of the image. Each write has
a UUID of its own, and replaces nothing but what was read before: of two machines that want the same
image one gets it, and an answer that was lost on its way is told from that.
"""

import os
from typing import TYPE_CHECKING
from uuid import uuid4

from errors import ConflictError, DamagedError, DeviceNotFoundError, ForeignError
from format import PAGE_SIZE
from format.first_page import MARK_OFFSET, FirstPage, empty_store
from format.layout import MARK_SIZE, SUPERBLOCK_SIZE
from format.mark import Mark
from format.records import Superblock
from s3.client import ABSENT, Client, Connection
from s3.listing import Listed
from store.protocol import PageSlot, Retreat, nothing
from store.server.source import PartSource

if TYPE_CHECKING:
    from format.sealing import ImageKey

KEY = "head"
SIZE = PAGE_SIZE + SUPERBLOCK_SIZE
HEADER_PAGE = 1
"""Where the superblock stands in the head, as the mark has to say."""

_MARK = slice(MARK_OFFSET, MARK_OFFSET + MARK_SIZE)
_SUPERBLOCK = slice(PAGE_SIZE, SIZE)


class Head(PageSlot):
    """The head that a server has for one machine, as it was when it was read."""

    page = 0
    data: memoryview

    def __init__(self, client: Client, name: str, data: bytes, etag: str) -> None:
        self._whole = bytearray(data)
        super().__init__(memoryview(self._whole)[:PAGE_SIZE])
        self._client = client
        self.name = name
        self._etag = etag
        self._connected: tuple[int, Connection] | None = None
        self._is_held = False
        self.key: ImageKey | None = None
        self.retreat: Retreat | None = None
        self.spend = nothing

    @property
    def _connection(self) -> Connection:
        """One of this process: what it has forked shares its socket."""
        if self._connected is None or self._connected[0] != os.getpid():
            self._connected = os.getpid(), self._client.connection()
        return self._connected[1]

    @property
    def address(self) -> str:
        """Where the server is."""
        return str(self._client.addresses[0].where[0])

    def close(self) -> None:
        """Let go of the server."""
        if self._connected and self._connected[0] == os.getpid():
            self._connected[1].close()
        self._connected = None

    def mark(self) -> Mark | None:
        """See Slot. Raises DamagedError, UnsupportedError."""
        return Mark.parse(self.data, self.key) if self.holds_image() else None

    def is_in_place(self) -> bool:
        """See Slot: an object is nowhere else."""
        return True

    def written_mark(self) -> Mark | None:
        """See Slot. Raises ServerError."""
        self._read()
        return Mark.parse(self.data)

    def write_mark(self, mark: bytes) -> None:
        """See Slot: all of it at once. Raises ConflictError, ServerError."""
        self.data[_MARK] = mark
        self._write()

    def clear(self) -> None:
        """See Slot. Raises ConflictError, ServerError."""
        self.data[_MARK] = bytes(MARK_SIZE)
        self._whole[_SUPERBLOCK] = bytes(SUPERBLOCK_SIZE)
        self._write()

    def claim(self) -> None:
        """See Slot: in one write. Raises ConflictError, ServerError, LockedError.

        Another boot that reads the mark discards the image: it must not come before the second one.
        """
        self._is_held = True
        try:
            super().claim()
        finally:
            self._is_held = False
        self._write()

    def contents(self) -> str:
        """See Slot."""
        return self.describe(self.name)

    def source(self, mark: Mark) -> PartSource:
        """See Slot."""
        return PartSource(self._client, self.name, mark, bytes(self.superblock(mark)), self.key)

    def superblock(self, mark: Mark) -> memoryview:
        """See Slot."""
        page = memoryview(self._whole)[_SUPERBLOCK]
        if mark.header_page != HEADER_PAGE or Superblock.parse(page).seal is None:
            raise ForeignError(f"the image on {self.name} is not sealed: nothing tells who made it")
        return page

    def hold_superblock(self, data: bytes) -> None:
        """Have it written with the mark, which makes it the image's."""
        self._whole[_SUPERBLOCK] = data

    def write_superblock(self, mark: Mark, data: bytes) -> None:
        """See Slot."""
        self.superblock(mark)[:] = data
        self._write()

    def tidy(self) -> None:
        """See Slot: the parts of all images of this machine, none of which is visible any more."""
        found = [each.key for each in self._connection.list() if isinstance(each, Listed)]
        for key in found:
            if key != KEY:
                self._connection.delete(key)

    def _read(self) -> None:
        self._whole[:], self._etag = _get(self._connection, self.name)

    def _write(self) -> None:
        """Put what is here in the place of what was read or written before.

        Raises ConflictError where somebody else has done that.
        """
        if self._is_held:
            return
        self._whole[:] = _with_uuid(self._whole)
        try:
            self._etag = self._connection.put(KEY, memoryview(self._whole), only=self._etag)
        except ConflictError as error:
            there, etag = _get(self._connection, self.name)
            if there != self._whole:
                why = f"another boot or machine has changed {self.name} meanwhile"
                raise ConflictError(why) from error
            self._etag = etag


def read_head(client: Client, name: str) -> Head:
    """Return the head of the store that `client` leads to, which messages call `name`.

    Raises DeviceNotFoundError where nobody has made one, DamagedError, ServerError.
    """
    connection = client.connection()
    try:
        data, etag = _get(connection, name)
    finally:
        connection.close()
    return Head(client, name, data, etag)


def new_head(client: Client) -> None:
    """Make the head of an empty store. Raises ConflictError where there is one, ServerError."""
    connection = client.connection()
    try:
        connection.put(KEY, _with_uuid(bytearray(SIZE)), only=ABSENT)
    finally:
        connection.close()


def _get(connection: Connection, name: str) -> tuple[bytes, str]:
    found = connection.get(KEY, SIZE)
    if found is None:
        raise DeviceNotFoundError(f"there is no store at {name}", "torpor enable makes it")
    if len(found.data) != SIZE or not FirstPage(found.data[:PAGE_SIZE]).is_store:
        raise DamagedError(f"what lies at {name} is no head of a store")
    return bytes(found.data), found.etag


def _with_uuid(head: bytearray) -> bytes:
    """Return the head with a UUID that no write before has had."""
    page = bytearray(empty_store(1, uuid4().bytes))
    page[_MARK] = head[_MARK]
    return bytes(page) + bytes(head[_SUPERBLOCK])
