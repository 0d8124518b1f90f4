"""One file: what of it is in the page cache, and what tells it from another."""

import os
import stat
from dataclasses import dataclass

from format.working_set import Ranges, file_check
from kernel import opening
from kernel.residency import Residency

_FLAGS = os.O_RDONLY | os.O_NOATIME | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY


@dataclass(frozen=True, slots=True)
class Found:
    """A file that has pages in the page cache."""

    path: bytes
    """Below the mount."""
    handle: bytes
    """As opening.handle_of gives it; b"" where paths are recorded."""
    check: int
    """format.working_set.file_check."""
    ranges: Ranges


class Examiner:
    """Looks at files, one after the other, and reads none of them."""

    def __init__(self, *, with_handles: bool) -> None:
        self._residency = Residency()
        self._with_handles = with_handles

    def look(self, folder: int, name: bytes, path: bytes) -> Found | None:
        """Return what is cached of the file `name` in the open folder; None if nothing is.

        None, too, for what is no regular file, or not in the kernel's cache of names, or cannot be
        opened: what is recorded is a help, not a promise. `path` is the one to keep.
        """
        try:
            fd = opening.open_below(folder, name, _FLAGS, opening.BELOW | opening.RESOLVE_CACHED)
        except OSError:
            return None
        try:
            ranges = self._residency.of_file(fd)
            return self._found(fd, path, tuple(ranges)) if ranges else None
        except OSError:
            return None
        finally:
            os.close(fd)

    def _found(self, fd: int, path: bytes, ranges: Ranges) -> Found | None:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return None
        handle = opening.handle_of(fd) if self._with_handles else b""
        return Found(path, handle, check_of(status), ranges)


def check_of(status: os.stat_result) -> int:
    """Return file_check of a file with this status."""
    return file_check(status.st_ino, status.st_size, status.st_mtime_ns)
