"""A file that is open, and closed in time. Every boot imports this."""

import errno
import os

_PIECE = 1 << 20

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


class OpenFile:
    """A file, device or folder that is open as `fd`; a context manager that closes it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it."""
        os.close(self.fd)


def read_whole(path: str, most: int, *, waits: bool = False) -> bytes:
    """Return the contents of a file, one in /proc too.

    Of a pipe it returns what is there; if it `waits`, what those who have it open write.
    Raises OSError, EFBIG for more than `most` bytes.
    """
    with OpenFile(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)) as file:
        if waits:
            os.set_blocking(file.fd, True)
        data = bytearray()
        while len(data) <= most and (piece := os.read(file.fd, _PIECE)):
            data += piece
    if len(data) > most:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
    return bytes(data)
