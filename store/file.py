"""An ordinary file that holds an image."""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

from errors import Attempt, IncompleteError, StoreRefusedError, cannot
from format.checksum import Buffer
from linux.open_file import OpenFile

_WRITE_OUT = 8 << 20
"""Bytes."""


def read_at(fd: int, name: str, offset: int, room: memoryview) -> None:
    """Fill `room` from this byte of a file or device on. Raises IncompleteError at its end."""
    done = 0
    while done < len(room):
        with Attempt("read", f"{name} at byte {offset + done}"):
            got = os.preadv(fd, [room[done:]], offset + done)
        if not got:
            raise IncompleteError(f"{name} ends at byte {offset + done}")
        done += got


class FileSource:
    """A format.reader.Source: the whole of an ordinary file."""

    image_uuid = None

    def __init__(self, fd: int, name: str) -> None:
        self._fd = fd
        self._name = name
        self.size = os.fstat(fd).st_size

    def read(self, offset: int, size: int, buffer: memoryview) -> memoryview:
        """See format.reader.Source."""
        read_at(self._fd, self._name, offset, buffer[:size])
        return buffer[:size]


class FileSink:
    """A format.writer.Sink that appends to an open descriptor."""

    def __init__(self, fd: int, name: str) -> None:
        self._fd = fd
        self._name = name
        self._written = 0
        self._sent = 0

    def write(self, pieces: Sequence[Buffer]) -> None:
        """See format.writer.Sink. Raises UnreadableError, BrokenPipeError."""
        rest = [memoryview(piece) for piece in pieces if len(piece)]
        while rest:
            try:
                done = os.writev(self._fd, rest)
            except BrokenPipeError:
                raise
            except OSError as error:
                raise cannot("write", self._name, error) from error
            self._written += done
            while rest and done >= len(rest[0]):
                done -= len(rest.pop(0))
            if done:
                rest[0] = rest[0][done:]
        if self._written - self._sent >= _WRITE_OUT:
            self._write_out()

    def _write_out(self) -> None:
        """Have the kernel begin to write, so that the fsync in the end is short."""
        size, self._sent = self._written - self._sent, self._written
        with suppress(OSError):  # advice: a pipe takes none
            os.posix_fadvise(self._fd, self._written - size, size, os.POSIX_FADV_DONTNEED)


@contextmanager
def new_file(path: str) -> Iterator[int]:
    """Open a new file and give it its name when it is whole and synced, replacing another.

    A pipe or a character device is written directly; a block device is refused.
    """
    mode = os.stat(path).st_mode if os.path.exists(path) else stat.S_IFREG
    if stat.S_ISBLK(mode):
        raise StoreRefusedError(f"{path} is a block device, not a file")
    if not stat.S_ISREG(mode):
        with _opened(path, path, os.O_WRONLY) as file:
            yield file.fd
        return
    partial = f"{path}.partial"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with suppress(OSError):  # left by one that was killed
        os.unlink(partial)
    with _opened(partial, path, flags) as file, ExitStack() as on_error:
        on_error.callback(os.unlink, partial)
        yield file.fd
        with Attempt("write", path):
            os.fsync(file.fd)
            os.replace(partial, path)
        on_error.pop_all()


def _opened(path: str, name: str, flags: int) -> OpenFile:
    with Attempt("write", name):
        return OpenFile(os.open(path, flags | os.O_CLOEXEC, 0o600))
