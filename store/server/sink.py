"""An image written to a server in parts, several at once, from memory of its own."""

from collections import deque
from functools import partial
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

    The superblock is left in the head, which is written with the mark.
    """

    behind = 0

    def __init__(self, client: Client, head: Head) -> None:
        self._head = head
        self._connections = Connections(client.connection)
        self._threads = Threads(parts.CONNECTIONS)
        self._idle = deque(PageBuffer(parts.SIZE).whole for _ in range(parts.CONNECTIONS + 1))
        self._begun: deque[tuple[Job[None], memoryview]] = deque()
        self._part = self._idle.popleft()
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
        while self._begun:
            self._end_part()
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
        job = self._threads.begin(partial(self._put, key, self._part[: self._filled]))
        self._begun.append((job, self._part))
        self._count += 1
        self._filled = 0
        if not self._idle:
            self._end_part()
        self._part = self._idle.popleft()

    def _end_part(self) -> None:
        """Wait for the part that was begun first."""
        job, memory = self._begun.popleft()
        job.result()
        self._idle.append(memory)

    def _put(self, key: str, data: memoryview) -> None:
        with self._connections.one() as connection:
            connection.put(key, data)
