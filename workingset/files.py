"""One file: which of its pages are cached, and what tells it from another file."""

import os
import stat
from collections.abc import Callable

from format.working_set import MAX_PATH, CachedFile, file_check
from linux import opening
from linux.open_file import OpenFile
from linux.page_cache import Residency

_FLAGS = os.O_RDONLY | os.O_NOATIME | os.O_NONBLOCK | os.O_NOCTTY
_CACHED = opening.BELOW | opening.RESOLVE_CACHED


class Examiner:
    """Looks at files, one after the other, and reads none of them.

    None stands for a file that is not regular, has nothing cached, is not in the kernel's cache of
    names, or cannot be opened: a record is a hint, not a promise.
    """

    def __init__(self, is_late: Callable[[], bool], *, with_handles: bool) -> None:
        """`is_late` says whether to stop in the middle of a file."""
        self._residency = Residency(is_late)
        self._with_handles = with_handles

    def look(self, folder: int, name: bytes, path: bytes) -> CachedFile | None:
        """Return what is cached of a regular file `name` in the open folder.

        `path` is the one to keep. No process is known to use it.
        """
        if len(path) > MAX_PATH:
            return None
        try:
            fd = opening.open_below(folder, name, _FLAGS | os.O_NOFOLLOW, _CACHED)
            return self._examined(fd, path, in_use=False)
        except OSError:
            return None

    def look_unless_special(self, folder: int, path: bytes) -> CachedFile | None:
        """Return the same of what a process uses: a FIFO or a device is not opened."""
        if len(path) > MAX_PATH:
            return None
        flags = os.O_PATH | os.O_NOFOLLOW
        try:
            with OpenFile(opening.open_below(folder, path, flags, _CACHED)) as found:
                if not stat.S_ISREG(os.fstat(found.fd).st_mode):
                    return None
                return self._examined(opening.reopen(found.fd, _FLAGS), path, in_use=True)
        except OSError:
            return None

    def _examined(self, fd: int, path: bytes, *, in_use: bool) -> CachedFile | None:
        """Look at an open file, and close it. Raises OSError."""
        try:
            if not (ranges := self._residency.of_file(fd)):
                return None
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                return None
            name = opening.handle_of(fd) if self._with_handles else path
            return CachedFile(name, check_of(status), in_use, tuple(ranges))
        finally:
            os.close(fd)


def check_of(status: os.stat_result) -> int:
    """Return file_check of a file with this status."""
    return file_check(status.st_ino, status.st_size, status.st_mtime_ns)
