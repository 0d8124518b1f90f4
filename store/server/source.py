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
from store.protocol import MarkedSource
from store.server import parts
from store.server.connections import Connections

if TYPE_CHECKING:
    from format.sealing import ImageKey

PIECE = parts.SIZE
"""Bytes of a request of what is read ahead: a whole part, since servers count and bill requests."""

_PIECES = parts.CONNECTIONS + 1
"""How many are in memory: one is used up while others are on their way."""


class PartSource(MarkedSource):
    """A format.reader.Source: the image that `mark` says is there."""

    threads = parts.THREADS

    def __init__(
        self, client: Client, name: str, mark: Mark, superblock: bytes, key: "ImageKey | None"
    ) -> None:
        super().__init__(name, mark, key)
        self._connections = Connections(client.connection)
        self._superblock = superblock
        self._ahead: _Ahead | None = None

    def read(self, offset: int, size: int, buffer: memoryview) -> memoryview:
        """See format.reader.Source."""
        self.check_inside(offset, size)
        room = buffer[:size]
        in_head = self._superblock[offset : offset + size]
        room[: len(in_head)] = in_head
        rest, at = room[len(in_head) :], offset + len(in_head)
        taken = self._ahead.take(at, rest) if self._ahead else 0
        self._fetch(at + taken, rest[taken:])
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

    def __init__(self, whole: memoryview, job: Job[None], left: int) -> None:
        self.whole = whole
        self.job = job
        self.left = left
        """Bytes that nobody has taken."""


class _Ahead:
    """Pieces of a stretch of the image, read in their order before anybody wants them.

    They end where parts do, so that each is one request; the first one is shorter. Each byte is
    taken once. A piece that is used up gives its memory to the next one. Nobody waits for one that
    has not begun: whoever wants it reads it himself, since those who would have to use up what is
    before it may have ended.
    """

    def __init__(self, fetch: Callable[[int, memoryview], None], begin: int, end: int) -> None:
        self._fetch = fetch
        self._begin, self._end = begin, end
        self._lock = threading.Lock()
        self._pieces: dict[int, _Piece] = {}
        self._next = begin
        """Where the next piece begins."""
        self._early: dict[int, int] = {}
        """Bytes of pieces to come that somebody reads himself."""
        self._threads = Threads(parts.CONNECTIONS)
        for _ in range(_PIECES):
            self._start(PageBuffer(PIECE).whole)

    def _start(self, whole: memoryview) -> None:
        """Begin the next piece of which something is wanted in this memory."""
        while self._next < self._end:
            at, self._next = self._next, self._end_of(self._next)
            if left := self._next - at - self._early.pop(at, 0):
                job = self._threads.begin(partial(self._fetch, at, whole[: self._next - at]))
                self._pieces[at] = _Piece(whole, job, left)
                return

    def _start_of(self, offset: int) -> int:
        """Return where the piece with this byte begins."""
        return max(self._begin, offset - (offset - parts.BEGIN) % PIECE)

    def _end_of(self, offset: int) -> int:
        """Return where the piece with this byte ends."""
        return min(self._end, offset + PIECE - (offset - parts.BEGIN) % PIECE)

    def take(self, offset: int, room: memoryview) -> int:
        """Fill the front of the room from this byte of the image on; return how much there was."""
        done = 0
        while done < len(room) and (piece := self._piece(offset + done, len(room) - done)):
            piece.job.result()
            at = self._start_of(offset + done)
            skip = offset + done - at
            some = piece.whole[skip : min(self._end_of(at) - at, skip + len(room) - done)]
            room[done : done + len(some)] = some
            self._taken(at, piece, len(some))
            done += len(some)
        return done

    def _piece(self, offset: int, size: int) -> _Piece | None:
        """Return the piece with this byte; None if it is used up, or these bytes are to come."""
        with self._lock:
            at = self._start_of(offset)
            if self._next <= at < self._end:
                self._leave_out(offset, min(offset + size, self._end))
            return self._pieces.get(at)

    def _leave_out(self, offset: int, end: int) -> None:
        """Note that these bytes are read by who wants them."""
        while offset < end:
            at = self._start_of(offset)
            size = min(end, self._end_of(at)) - offset
            self._early[at] = self._early.get(at, 0) + size
            offset += size

    def _taken(self, at: int, piece: _Piece, size: int) -> None:
        with self._lock:
            piece.left -= size
            if not piece.left:
                del self._pieces[at]
                self._start(piece.whole)

    def close(self) -> None:
        """End the threads."""
        self._threads.close()
