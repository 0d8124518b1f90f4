"""Stops the file systems that an image holds mounted: clean on disk, and unchanged from then on."""

import errno
import mmap
import os
from contextlib import ExitStack, suppress
from typing import Self

from errors import KernelRefusedError
from linux import filesystem
from linux.mounts import FileSystem, open_mount


def _open_reachable(mounts: FileSystem) -> tuple[int, str]:
    """Open the first of these mounts of a file system that no other one hides."""
    for mount in mounts:
        with suppress(OSError):
            return open_mount(mount, os.O_NONBLOCK), mount.mount_point
    places = ", ".join(mount.mount_point for mount in mounts)
    raise KernelRefusedError(
        f"the file system mounted at {places} cannot be reached to freeze it",
        "another mount hides it, or it does not answer: unmount one of them",
    )


class FileSystems:
    """The file systems to stop, opened before the freeze; those that we froze can be thawed.

    The flags of what is frozen lie in memory shared with the watchdog, which thaws the same if
    this process dies. A context manager: leaving it closes them.
    """

    def __init__(self, to_freeze: list[FileSystem]) -> None:
        """Open them, in the order to freeze. Raises KernelRefusedError if one cannot be reached."""
        self._open: list[tuple[int, str]] = []
        try:
            for file_system in to_freeze:
                self._open.append(_open_reachable(file_system))
        except KernelRefusedError:
            self.close()
            raise
        self._is_frozen = mmap.mmap(-1, len(self._open) + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def freeze(self) -> None:
        """Stop them. Raises KernelRefusedError; what was frozen so far is for `thaw`.

        One that is frozen already stays so; one that cannot be frozen (vfat) is synced.
        """
        for number, (fd, mount_point) in enumerate(self._open):
            self._is_frozen[number] = 1
            try:
                filesystem.freeze(fd)
            except OSError as error:
                self._is_frozen[number] = 0
                if error.errno == errno.EOPNOTSUPP:
                    _sync(fd, mount_point)
                elif error.errno != errno.EBUSY:
                    raise KernelRefusedError(f"cannot freeze {mount_point}: {error}") from error

    def thaw(self) -> None:
        """Let those go on that `freeze` stopped, all of them whatever one says."""
        with ExitStack() as last_to_first:
            for number, (fd, _) in enumerate(self._open):
                if self._is_frozen[number]:
                    last_to_first.callback(self._thaw_one, number, fd)

    def _thaw_one(self, number: int, fd: int) -> None:
        try:
            filesystem.thaw(fd)
        except OSError as error:
            if error.errno != errno.EINVAL:  # it is not frozen any more
                raise
        self._is_frozen[number] = 0

    def close(self) -> None:
        """Close them."""
        while self._open:
            os.close(self._open.pop()[0])


def _sync(fd: int, mount_point: str) -> None:
    """Write out what changed after the sync before the freeze: nothing does any more."""
    try:
        filesystem.sync_file_system(fd)
    except OSError as error:
        raise KernelRefusedError(f"cannot sync {mount_point}: {error}") from error
