"""Images in memory: a source and a sink for the reader and the writer."""

import hashlib
import os
import resource
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from types import MappingProxyType
from uuid import UUID

from errors import IncompleteError, TorporError
from format.codec import DEFAULT
from format.mark import Mark
from format.pipeline import THREADS, PageBuffer
from format.reader import ImageReader
from format.records import Identity, Superblock
from format.sealing import ImageKey
from format.sink import Wait, at_once
from format.tables import all_tables
from format.writer import ImageWriter, new_encoders
from seal.identity import by_identity
from store.blocks import BlockSink
from store.image import open_image
from tests.forge import CREATED_NS, DIGEST, MACHINE_ID, PAGE, UUID_A

DAMAGE_CODES: frozenset[int | bytes] = frozenset({3, 4, 5})
"""Exit codes for what is wrong with an image itself."""

IDENTITY = Identity(
    "6.1.0-37-amd64", "#1 SMP Debian 6.1.140-1", "x86_64", "lynx", DIGEST, MACHINE_ID
)


class MemorySource:
    """A format.reader.Source in memory, which may give an image's UUID as a mark does."""

    threads = THREADS

    def __init__(
        self, data: bytes, image_uuid: UUID | None = None, key: ImageKey | None = None
    ) -> None:
        self.key = key
        self._data = data
        self.size = len(data)
        self.image_uuid = image_uuid

    def read(self, offset: int, size: int, buffer: memoryview) -> memoryview:
        """Copy into the buffer, as a device would."""
        assert offset >= 0
        assert len(buffer) >= size + offset % PAGE
        part = self._data[offset : offset + size]
        if len(part) < size:
            raise IncompleteError(f"ends before byte {offset + size}")
        buffer[:size] = part
        return buffer[:size]

    def reading_ahead(self, *_: int) -> AbstractContextManager[None]:
        """It is all in memory."""
        return nullcontext()


class MemorySink:
    """A format.sink.Sink in memory."""

    behind = 0
    threads = THREADS

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, pages: memoryview) -> Wait:
        """Copy: the pages change afterwards."""
        assert len(pages) % PAGE == 0
        self.data += pages
        return at_once


def read_image(data: bytes) -> bytes:
    """Return the stream of the image. Raises what the reader raises."""
    return b"".join(bytes(raw) for raw in ImageReader(MemorySource(data)).stream())


def limit_memory(mebibytes: int) -> None:
    """Let this process have so much more memory than it has now, and threads with small stacks."""
    threading.stack_size(1 << 20)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + (mebibytes << 20),) * 2)


def outcome(read: Callable[[], bytes]) -> int | bytes:
    """Return the stream's SHA-256, or the exit code of the refusal."""
    try:
        stream = read()
    except TorporError as error:
        return error.exit_code
    return hashlib.sha256(stream).digest()


def read_file(path: Path, identity: Path | None = None) -> bytes:
    """Return the stream of the image in a file or a copy of a device, its tables read too.

    With an identity it has to be sealed for that.
    """
    with open_image(str(path), by_identity(str(identity)) if identity else None) as source:
        image = ImageReader(source)
        for kind, table in all_tables().items():
            image.read(kind, table)
        return b"".join(bytes(raw) for raw in image.stream())


@contextmanager
def opened(path: str | Path, flags: int = os.O_RDWR) -> Iterator[int]:
    fd = os.open(path, flags)
    try:
        yield fd
    finally:
        os.close(fd)


def superblock(chunk_size: int, uuid: UUID = UUID_A) -> Superblock:
    """Return the superblock that tests.forge.Super is by default."""
    return Superblock(uuid, CREATED_NS, chunk_size, IDENTITY, platform=False)


def write_image(
    read: Callable[[PageBuffer, int], int],
    chunk_size: int,
    uuid: UUID = UUID_A,
    codec: str = DEFAULT,
    tables: Mapping[int, bytes] = MappingProxyType({}),
) -> bytes:
    """Return the image of the stream that `read` gives, and of these tables."""
    sink = MemorySink()
    writer = ImageWriter(sink, superblock(chunk_size, uuid), new_encoders(chunk_size, codec))
    writer.write_stream(read, lambda _done: None)
    for kind, data in tables.items():
        writer.write_table(kind, data)
    writer.finish()
    assert writer.size == len(sink.data)
    return bytes(sink.data)


def image_to(
    sink: BlockSink, stream: bytes, progress: Callable[[int], None] = lambda _done: None
) -> Mark:
    """Write an image to a store; return the mark that makes it one."""
    with closing(sink):
        writer = ImageWriter(sink, superblock(8 * PAGE), new_encoders(8 * PAGE, behind=sink.behind))
        writer.write_stream(reader_of(stream), progress)
        writer.finish()
        return sink.finish(UUID_A, writer.size)


def reader_of(data: bytes, most: int = 1 << 30) -> Callable[[PageBuffer, int], int]:
    """Return a ReadStream of `data` that gives at most so many bytes at once."""
    rest = memoryview(data)

    def read(buffer: PageBuffer, at: int) -> int:
        nonlocal rest
        count = min(most, len(rest), len(buffer.view) - at)
        buffer.view[at : at + count] = rest[:count]
        rest = rest[count:]
        return count

    return read
