"""A block device as the guard reads it: past the page cache, through one small buffer."""

import os
from collections.abc import Callable, Iterator

from errors import Attempt
from format import PAGE_SIZE
from format.pipeline import PageBuffer
from linux import block, stack
from linux.open_file import OpenFile
from linux.root import HOST, Root

PIECE = 1 << 20
"""The most bytes that are read at once."""

Read = Callable[[int, int], bytes]
"""Return so many bytes, at most PIECE, from this offset on; fewer where the device ends.

Raises UnreadableError.
"""


def new_buffer() -> PageBuffer:
    """Return the memory that a device reads through; several may share it."""
    return PageBuffer(PIECE + PAGE_SIZE)


def pieces(read: Read, offset: int, size: int, most: int = PIECE) -> Iterator[bytes]:
    """Yield the bytes of a range, at most `most` at a time; it ends where the device does."""
    end = offset + size
    while offset < end and (piece := read(offset, min(most, end - offset))):
        yield piece
        offset += len(piece)


class Device(OpenFile):
    """A block device (or, for tests, a file), open until it is closed."""

    def __init__(self, path: str, buffer: PageBuffer, root: Root = HOST) -> None:
        """Raise OSError."""
        self._buffer = buffer.view
        layers = stack.layers(path, root)
        self.number = root.device_number(path) or ""
        """MAJOR:MINOR."""
        self.name = f"/dev/mapper/{layers[0].dm_name}" if layers[0].dm_name else path
        """A path for messages, and to tell two file systems of one identity apart."""
        self.identity = _identity(layers[0])
        """What a layer of device-mapper or md calls itself at each boot, else ""."""
        super().__init__(block.open_direct(root.path(path), os.O_RDONLY))
        self.size = block.size_of(self.fd)

    def sync(self) -> None:
        """Write what the page cache has of it. Raises UnreadableError."""
        with Attempt("write to", self.name):
            os.fsync(self.fd)

    def read(self, offset: int, size: int) -> bytes:
        """See Read."""
        return (
            read_bytes(self.fd, self.name, self._buffer, offset, size)
            if offset < self.size
            else b""
        )


def read_bytes(fd: int, name: str, buffer: memoryview, offset: int, size: int) -> bytes:
    """Return what an open device or file has there, as Read does, through the buffer."""
    start = offset - offset % PAGE_SIZE
    room = buffer[: -(-(offset + size - start) // PAGE_SIZE) * PAGE_SIZE]
    done = 0
    while done < len(room):
        with Attempt("read", f"{name} at byte {start + done}"):
            got = os.preadv(fd, [room[done:]], start + done)
        if not got:
            break
        done += got
    return bytes(room[offset - start : min(done, offset - start + size)])


def _identity(top: stack.Layer) -> str:
    """Return the UUID of the uppermost layer; LUKS puts the name behind it, which may change."""
    if top.dm_uuid.startswith("CRYPT-LUKS"):
        return top.dm_uuid.removesuffix(f"-{top.dm_name}")
    return top.dm_uuid or top.md_uuid
