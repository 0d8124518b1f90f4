"""Undoes the compressions that an initramfs may have, in pieces of bounded size.

The kernel knows gzip, bzip2, xz, lzma, lzo, lz4 and zstd by the first bytes of each part
(lib/decompress.c); of lz4 only the legacy frame (lib/decompress_unlz4.c).
"""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

from errors import InitramfsError

PIECE = 1 << 16
_LZ4_LEGACY = b"\x02\x21\x4c\x18"
_LZ4_BLOCK = 8 << 20
"""Uncompressed size of the legacy frame's blocks, but for the last one."""
_LZ4_COMPRESSED = _LZ4_BLOCK + _LZ4_BLOCK // 255 + 16
"""What a block that cannot be compressed takes (LZ4_compressBound)."""
_ZSTD_WINDOW = 1 << 27
"""As in the kernel's lib/decompress_unzstd.c."""
_LZMA_MEMORY = 80 << 20
"""For what xz -9 makes; lzma's largest dictionary has 4 GiB."""
_ZSTD_INPUT = 1 << 9
"""Bytes given to zstd at once: each 4 of them may become 128 KiB."""


class Room:
    """How many bytes there may be in all: a few may stand for any number."""

    def __init__(self, most: int) -> None:
        self._most = self._left = most

    def of(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the pieces. Raises InitramfsError for more than there may be."""
        for piece in pieces:
            self._left -= len(piece)
            if self._left < 0:
                raise InitramfsError(f"it unpacks to more than {self._most >> 20} MiB")
            yield piece


class Stream:
    """Bytes from an iterator of pieces; bytes that were taken too much can be put back."""

    __slots__ = ("_pending", "_pieces")

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._pending: bytes | memoryview = b""

    def some(self, limit: int = PIECE) -> bytes:
        """Return at least one byte and at most `limit`, b"" at the end."""
        while not self._pending:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._pending = piece
        pending = memoryview(self._pending)
        self._pending = pending[limit:]
        return bytes(pending[:limit])

    def take(self, count: int) -> bytes:
        """Return that many bytes; fewer at the end."""
        parts = []
        while count and (part := self.some(count)):
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def skip(self, count: int) -> int:
        """Leave that many bytes out; return how many there were."""
        done = 0
        while done < count and (part := self.some(min(count - done, PIECE))):
            done += len(part)
        return done

    def put_back(self, data: bytes) -> None:
        """Make `data` the next bytes."""
        self._pending = data + bytes(self._pending)

    def peek(self, count: int) -> bytes:
        """Return the next bytes without taking them; fewer at the end."""
        data = self.take(count)
        self.put_back(data)
        return data


def unpacked(stream: Stream) -> Iterator[bytes] | None:
    """Yield what the compressed part at the head of `stream` holds, up to where that part ends.

    None if no known compression begins there. Raises InitramfsError, while it yields too.
    """
    head = stream.peek(6)
    for magic, unpack in _KINDS.items():
        if head.startswith(magic):
            return unpack(stream)
    return None


class _Decoder(Protocol):
    """What decompressors have in common; zlib's has `unconsumed_tail`, others `needs_input`."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def decompress(self) -> Callable[..., bytes]: ...


def _decoded(
    kind: str, decoder: _Decoder, failure: type[Exception], stream: Stream, *limit: int
) -> Iterator[bytes]:
    """Yield what the decoder makes of the stream, at most `limit` bytes at a time.

    Without a limit it gets as little as zstd may get at once.
    """
    at_once = PIECE if limit else _ZSTD_INPUT
    while not decoder.eof:
        data: bytes = getattr(decoder, "unconsumed_tail", b"")
        if not data and getattr(decoder, "needs_input", True):
            data = stream.some(at_once)
            if not data:
                raise _too_early(kind)
        try:
            piece = decoder.decompress(data, *limit)
        except (OSError, EOFError, ValueError, failure) as error:
            raise InitramfsError(f"its {kind} data is damaged: {error}") from error
        if piece:
            yield piece
    stream.put_back(decoder.unused_data)


def _too_early(kind: str) -> InitramfsError:
    return InitramfsError(f"its {kind} data is cut off")


def _gzip(stream: Stream) -> Iterator[bytes]:
    return _decoded("gzip", zlib.decompressobj(zlib.MAX_WBITS | 16), zlib.error, stream, PIECE)


def _bzip2(stream: Stream) -> Iterator[bytes]:
    return _decoded("bzip2", bz2.BZ2Decompressor(), OSError, stream, PIECE)


def _lzma(kind: str, container: int, stream: Stream) -> Iterator[bytes]:
    decoder = lzma.LZMADecompressor(container, memlimit=_LZMA_MEMORY)
    return _decoded(kind, decoder, lzma.LZMAError, stream, PIECE)


def _zstd(stream: Stream) -> Iterator[bytes]:
    import zstandard  # only an initramfs needs it

    decoder = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
    return _decoded("zstd", decoder, zstandard.ZstdError, stream)


def _lz4(stream: Stream) -> Iterator[bytes]:
    import lz4.block  # only an initramfs needs it

    stream.skip(len(_LZ4_LEGACY))
    while len(head := stream.take(4)) == 4:
        size = int.from_bytes(head, "little")
        if head == _LZ4_LEGACY:
            continue
        if not 0 < size <= _LZ4_COMPRESSED:  # something else begins here: padding, a cpio archive
            break
        data = stream.take(size)
        if len(data) < size:
            raise _too_early("lz4")
        try:
            yield lz4.block.decompress(data, uncompressed_size=_LZ4_BLOCK)
        except lz4.block.LZ4BlockError as error:
            raise InitramfsError(f"its lz4 data is damaged: {error}") from error
    stream.put_back(head)


def _lzo(_stream: Stream) -> Iterator[bytes]:
    raise InitramfsError(
        "it is compressed with lzo, which torpor doctor cannot undo",
        "choose zstd or lz4 in the configuration of your initramfs generator",
    )


def _lz4_frame(_stream: Stream) -> Iterator[bytes]:
    raise InitramfsError(
        "it has lz4's newer frame, which the kernel cannot undo",
        "have it compressed with lz4 -l",
    )


_KINDS: dict[bytes, Callable[[Stream], Iterator[bytes]]] = {
    b"\x1f\x8b": _gzip,
    b"\x1f\x9e": _gzip,
    b"BZh": _bzip2,
    b"\xfd7zXZ\0": partial(_lzma, "xz", lzma.FORMAT_XZ),
    b"]\0\0": partial(_lzma, "lzma", lzma.FORMAT_ALONE),
    b"\x89LZO": _lzo,
    _LZ4_LEGACY: _lz4,
    b"\x04\x22\x4d\x18": _lz4_frame,
    b"\x28\xb5\x2f\xfd": _zstd,
}
