"""An image read from a server, its stream ahead of who wants it, over several connections."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from errors import IncompleteError, NoObjectError
from format.mark import Mark
from format.pipeline import Job, PageBuffer, Threads
from s3.client import Client
from store.server import parts
from store.server.connections import Connections

if TYPE_CHECKING:
    from format.sealing import ImageKey

PIECE = 4 << 20
"""Bytes of a request of what is read ahead; parts are whole numbers of them."""

_PIECES = parts.CONNECTIONS + 2
"""How many are in memory."""


class PartSource:
    """A format.reader.Source: the image that `mark` says is there."""

    def __init__(
        self, client: Client, name: str, mark: Mark, superblock: bytes, key: "ImageKey | None"
    ) -> None:
        self._connections = Connections(client.connection)
        self._name = name
        self._superblock = superblock
        self._ahead: _Ahead | None = None
        self.mark = mark
        self.size = mark.image_size
        self.image_uuid = mark.image_uuid
        self.key = key

    def read(self, offset: int, size: int, buffer: memoryview) -> memoryview:
        """See format.reader.Source."""
        if offset < 0 or offset + size > self.size:
            raise IncompleteError(f"image on {self._name} ends before byte {offset + size}")
        room = buffer[:size]
        in_head = self._superblock[offset : offset + size]
        room[: len(in_head)] = in_head
        rest, at = room[len(in_head) :], offset + len(in_head)
        if self._ahead is None or not self._ahead.take(at, rest):
            self._fetch(at, rest)
        return room

    @contextmanager
    def reading_ahead(self, begin: int, end: int) -> Iterator[None]:
        """See format.reader.Source."""
        self._ahead = _Ahead(self._fetch, begin, end)
        try:
            yield
        finally:
            self._ahead.close()
            self._ahead = None
            self._connections.close()

    def close(self) -> None:
        """Let go of the server."""
        self._connections.close()

    def _fetch(self, offset: int, room: memoryview) -> None:
        """Fill the room from this byte of the image on, of as many parts as it takes."""
        while room:
            number, skip = divmod(offset - parts.BEGIN, parts.SIZE)
            some = room[: parts.SIZE - skip]
            key = parts.key_of(self.image_uuid, number)
            try:
                with self._connections.one() as connection:
                    connection.read(key, skip, some)
            except NoObjectError as error:
                raise IncompleteError(f"{self._name} has no part {number} of the image") from error
            offset += len(some)
            room = room[len(some) :]


class _Piece:
    """A stretch of the image that is being read, or that readers take from."""

    def __init__(self, room: memoryview, whole: memoryview, job: Job[None]) -> None:
        self.room = room
        self.whole = whole
        self.job = job
        self.left = len(room)
        """Bytes that nobody has taken."""


class _Ahead:
    """Pieces of a stretch of the image, read in their order before anybody wants them.

    Each byte is taken once. A piece that is used up gives its memory to the next one: who waits for
    the first byte that nobody has taken waits for a piece that has begun.
    """

    def __init__(self, fetch: Callable[[int, memoryview], None], begin: int, end: int) -> None:
        self._fetch = fetch
        self._begin, self._end = begin, end
        self._changed = threading.Condition()
        self._pieces: dict[int, _Piece] = {}
        self._next = begin
        self._threads = Threads(parts.CONNECTIONS)
        for _ in range(_PIECES):
            self._start(PageBuffer(PIECE).whole)

    def _start(self, whole: memoryview) -> None:
        """Begin the next piece in this memory."""
        at, self._next = self._next, min(self._next + PIECE, self._end)
        if room := whole[: self._next - at]:
            job = self._threads.begin(partial(self._fetch, at, room))
            self._pieces[at] = _Piece(room, whole, job)

    def take(self, offset: int, room: memoryview) -> bool:
        """Fill the room from this byte of the image on; False for what is not, or gone, here."""
        if not self._begin <= offset <= self._end - len(room):
            return False
        while room:
            skip = (offset - self._begin) % PIECE
            piece = self._piece(offset - skip)
            if piece is None:
                return False
            piece.job.result()
            some = piece.room[skip : skip + len(room)]
            room[: len(some)] = some
            self._taken(offset - skip, piece, len(some))
            offset += len(some)
            room = room[len(some) :]
        return True

    def _piece(self, at: int) -> _Piece | None:
        """Wait until the piece that begins there has begun; None if it is used up."""
        with self._changed:
            while at >= self._next:
                self._changed.wait()
            return self._pieces.get(at)

    def _taken(self, at: int, piece: _Piece, size: int) -> None:
        with self._changed:
            piece.left -= size
            if not piece.left:
                del self._pieces[at]
                self._start(piece.whole)
                self._changed.notify_all()

    def close(self) -> None:
        """End the threads."""
        self._threads.close()
