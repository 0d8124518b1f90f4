"""Bytes that come in pieces, taken in other pieces."""

from collections.abc import Iterator

PIECE = 1 << 16


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
