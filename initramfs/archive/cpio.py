"""The archives an initramfs is made of: cpio's newc format, one after the other, some compressed.

Documentation/driver-api/early-userspace/buffer-format.rst and init/initramfs.c in the kernel.
"""

from collections.abc import Iterator

from errors import InitramfsError
from initramfs.archive.unpack import Room, Stream, unpacked

MAGICS = (b"070701", b"070702")
_HEADER_SIZE = 110
_NAME_LIMIT = 4096
"""PATH_MAX: the kernel refuses longer ones."""
TRAILER = "TRAILER!!!"
"""The name that ends an archive."""
_ALIGNMENT = 4


Inode = tuple[int, int, int]
"""Inode, major and minor number: the same for all names of a file within one archive."""


class Member:
    """A file in an archive. What nobody takes of its contents until the next one is skipped."""

    __slots__ = ("_left", "_stream", "inode", "links", "mode", "name", "size")

    def __init__(
        self, name: str, mode: int, links: int, size: int, inode: Inode, stream: Stream
    ) -> None:
        self.name = name
        self.mode = mode
        self.links = links
        self.size = size
        self.inode = inode
        self._stream = stream
        self._left = size

    def take(self, count: int) -> bytes:
        """Return the next bytes of the contents, fewer at their end. Raises InitramfsError."""
        count = min(count, self._left)
        data = self._stream.take(count)
        if len(data) < count:
            raise _cut_off()
        self._left -= count
        return data

    def close(self) -> None:
        """Go to the next member. Raises InitramfsError."""
        count = self._left + -self.size % _ALIGNMENT
        if self._stream.skip(count) < count:
            raise _cut_off()


def read_archives(stream: Stream, room: Room, *, compressed: bool = False) -> Iterator[Member]:
    """Yield the members of all archives in `stream`, in order, each archive's trailer too.

    `room` is for all that is unpacked. With `compressed` the stream comes out of a decompression,
    and there may be no other one in it. Raises InitramfsError.
    """
    while head := _next_head(stream):
        if head in MAGICS:
            yield from _read_archive(stream)
            continue
        pieces = None if compressed else unpacked(stream)
        if pieces is None:
            raise InitramfsError(f"it has something unknown in it, which begins with {head.hex()}")
        yield from read_archives(Stream(room.of(pieces)), room, compressed=True)


def _next_head(stream: Stream) -> bytes:
    """Return the first bytes after the padding, without taking them."""
    while part := stream.some():
        if rest := part.lstrip(b"\0"):
            stream.put_back(rest)
            break
    return stream.peek(len(MAGICS[0]))


def _read_archive(stream: Stream) -> Iterator[Member]:
    """Yield the members up to the trailer."""
    name = ""
    while name != TRAILER:
        member = _read_member(stream)
        name = member.name
        yield member
        member.close()


def _read_member(stream: Stream) -> Member:
    header = stream.take(_HEADER_SIZE)
    if len(header) < _HEADER_SIZE:
        raise _cut_off()
    if not header.startswith(MAGICS):
        raise InitramfsError(f"a header in its cpio archive is damaged: {header[:6].hex()}")
    try:
        fields = [int(header[at : at + 8], 16) for at in range(6, _HEADER_SIZE, 8)]
    except ValueError as error:
        raise InitramfsError("a header in its cpio archive is damaged") from error
    inode, mode, _, _, links, _, size, major, minor, _, _, name_size, _ = fields
    if not 0 < name_size <= _NAME_LIMIT:
        raise InitramfsError(f"a name in its cpio archive has {name_size} bytes")
    name = stream.take(name_size + -(_HEADER_SIZE + name_size) % _ALIGNMENT)
    if len(name) < name_size:
        raise _cut_off()
    text = as_string(name[: name_size - 1])
    return Member(text, mode, links, size, (inode, major, minor), stream)


def as_string(data: bytes) -> str:
    """Return a name or the target of a link as the kernel takes it: up to the first zero.

    dracut-cpio puts more of them behind a name, to align the contents; gen_init_cpio has one
    behind a target.
    """
    return data.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _cut_off() -> InitramfsError:
    return InitramfsError("its cpio archive is cut off")
