"""Reads and writes small files whole. Every boot does, so this imports little."""

import os
import stat

from errors import Attempt, UnreadableError
from linux.open_file import OpenFile, read_whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

MAX_TEXT = 4 << 20
"""Bytes of a file of settings, or of a record."""

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
"""A file of our own: neither one that another has open already, nor what a link points to."""


def read_text(path: str) -> str | None:
    """Return the contents, None where there is no such file. Raises UnreadableError.

    Paths in it may be no UTF-8: they come as os.fsdecode has them.
    """
    with Attempt("read", path):
        try:
            return os.fsdecode(read_whole(path, MAX_TEXT))
        except (FileNotFoundError, NotADirectoryError):
            return None


def values_in(text: str) -> dict[str, str]:
    """Return what a file of ours says, name=value in each line that is no comment."""
    lines = [line.partition("=") for line in text.split("\n") if not line.startswith("#")]
    return {name: value for name, _, value in lines}


def write_text(path: str, text: str) -> None:
    """Replace the file by one with this text, on the disk for good. Raises UnreadableError."""
    write_bytes(path, os.fsencode(text), 0o644)


def write_bytes(path: str, data: bytes, mode: int = 0o600) -> None:
    """Replace the file by one with these bytes, its owner's only by default, as write_text does."""
    with Attempt("write", path):
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with NewFile(path, mode) as file:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(file.fd, rest) :]


class NewFile(OpenFile):
    """Open in a `with` block, at whose end it replaces the file at `path`, whole and synced.

    Until then it has a name of its own there, which goes if the block does not end well. Nothing
    else is removed. Raises UnreadableError.
    """

    def __init__(self, path: str, mode: int = 0o600) -> None:
        self._path = path
        self._mode = mode
        name = f".torpor-{os.urandom(8).hex()}.partial"
        self._partial = os.path.join(os.path.dirname(path), name)

    def __enter__(self) -> "Self":
        try:
            with Attempt("write", self._path):
                self.fd = os.open(self._partial, _NEW, self._mode)
        except BaseException:
            self._remove_partial()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        try:
            if error[0] is None:
                with Attempt("write", self._path):
                    os.fsync(self.fd)
                    os.replace(self._partial, self._path)
        finally:
            self._remove_partial()
            self.close()

    def _remove_partial(self) -> None:
        try:
            os.unlink(self._partial)
        except OSError:
            return  # it was not made, or has its name


def read_bytes(path: str, most: int) -> bytes | None:
    """Return the contents, None where there is no such file. Raises UnreadableError.

    A file of more than `most` bytes, or that is no ordinary one, counts as unreadable.
    """
    with Attempt("read", path):
        try:
            file = OpenFile(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        except (FileNotFoundError, NotADirectoryError):
            return None
        with file:
            status = os.fstat(file.fd)
            if not stat.S_ISREG(status.st_mode):
                raise UnreadableError(f"cannot read {path}: it is no ordinary file")
            if status.st_size > most:
                raise UnreadableError(f"cannot read {path}: it is larger than {most} bytes")
            return os.read(file.fd, most)


def remove(path: str) -> None:
    """Remove the file if it is there. Raises UnreadableError."""
    with Attempt("remove", path):
        if os.path.lexists(path):
            os.unlink(path)
