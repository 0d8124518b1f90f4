"""An image written to a server in parts, several at once, from memory of its own."""

from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING
from uuid import UUID

from errors import StoreRefusedError
from format.layout import SUPERBLOCK_SIZE
from format.mark import Mark, MarkState
from format.pipeline import Job, PageBuffer, Threads
from format.records import Superblock
from format.sink import Wait, at_once
from s3.client import Client
from store.server import parts
from store.server.connections import Connections
from store.server.head import HEADER_PAGE, Head

if TYPE_CHECKING:
    from format.sealing import ImageKey


class PartSink:
    """A StoreSink: what is given to it is copied, so that a part can be put again. To be closed.

    One part is filled while others are on their way. The one that is there first makes room for the
    next, whichever it is: no connection waits for another. The superblock is left in the head,
    which is written with the mark.
    """

    behind = 0
    threads = parts.THREADS

    def __init__(self, client: Client, head: Head) -> None:
        self._head = head
        self._connections = Connections(client.connection)
        self._threads = Threads(parts.CONNECTIONS)
        self._idle: SimpleQueue[memoryview] = SimpleQueue()
        for _ in range(parts.CONNECTIONS):
            self._idle.put(PageBuffer(parts.SIZE).whole)
        self._begun: list[Job[None]] = []
        self._part = PageBuffer(parts.SIZE).whole
        self._filled = 0
        self._count = 0
        self._image_uuid: UUID | None = None

    def write(self, pages: memoryview) -> Wait:
        """See format.sink.Sink. Raises ServerError, NoSpaceError, of earlier writes too."""
        if self._image_uuid is None:
            self._image_uuid = self._hold_superblock(bytes(pages[:SUPERBLOCK_SIZE]))
            pages = pages[SUPERBLOCK_SIZE:]
        while pages:
            some = pages[: parts.SIZE - self._filled]
            self._part[self._filled : self._filled + len(some)] = some
            self._filled += len(some)
            pages = pages[len(some) :]
            if self._filled == parts.SIZE:
                self._begin_part()
        return at_once

    def finish(self, image_uuid: UUID, image_size: int, _: "ImageKey | None" = None) -> Mark:
        """See StoreSink. Raises ServerError, NoSpaceError."""
        if self._filled:
            self._begin_part()
        for job in self._begun:
            job.result()
        self.close()
        mark = Mark(MarkState.COMPLETE, image_uuid, image_size, 0, 0, self._head.page)
        return mark._replace(header_page=HEADER_PAGE)

    def close(self) -> None:
        """See StoreSink."""
        self._threads.close()
        self._connections.close()

    def _hold_superblock(self, data: bytes) -> UUID:
        """Keep the superblock for the head; return the image's UUID.

        Raises StoreRefusedError for one in the clear.
        """
        superblock = Superblock.parse(data)
        if superblock.seal is None:
            raise StoreRefusedError(
                f"an image in the clear is not given to {self._head.name}",
                "seal images: torpor enable --seal passphrase",
            )
        self._head.hold_superblock(data)
        return superblock.image_uuid

    def _begin_part(self) -> None:
        """Put the part that is filled, and take memory for the next one."""
        assert self._image_uuid
        key = parts.key_of(self._image_uuid, self._count)
        put = partial(self._put, key, self._part, self._filled)
        self._begun.append(self._threads.begin(put))
        self._count += 1
        self._filled = 0
        self._part = self._idle.get()
        for done in [job for job in self._begun if job.is_done]:
            self._begun.remove(done)
            done.result()

    def _put(self, key: str, part: memoryview, size: int) -> None:
        try:
            with self._connections.one() as connection:
                connection.put(key, part[:size])
        finally:
            self._idle.put(part)
