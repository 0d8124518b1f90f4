"""Stops the file systems that an image holds mounted: clean on disk, and unchanged from then on.

Which of them, and in which order.
"""

import errno
import mmap
import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from itertools import islice
from typing import Self

from errors import KernelRefusedError
from hibernate.served import LoopFiles
from linux import filesystem, tasks
from linux.mounts import FileSystem, Mount, MountTable, file_systems, mounts_of, open_mount

_SHOWN = 5
"""Mount points of a file system in a message."""

_GOES_ON, _FREEZING, _FROZEN = range(3)
"""States of a file system."""

_ANSWERS_WITHIN = 5.0
"""Seconds for file systems to thaw whose devices may not answer."""


def every_mount() -> list[Mount]:
    """Return the mounts that we see, then those that processes see with another namespace or root.

    A process that is chrooted sees only what is below its root. The mount points of others
    (mount_namespaces(7)) are given as we reach them, below /proc/PID/root. Raises OSError.
    """
    mounts = mounts_of(os.getpid())
    seen = {tasks.mount_view()}
    for pid in tasks.pids():
        try:
            view = tasks.mount_view(pid)
            theirs = [] if view in seen else mounts_of(pid)
        except OSError:
            continue  # it has ended, or is a kernel thread
        seen.add(view)
        root = f"/proc/{pid}/root"
        mounts += [mount._replace(mount_point=f"{root}{mount.mount_point}") for mount in theirs]
    return mounts


def to_freeze(table: MountTable) -> list[FileSystem]:
    """Return the file systems on block devices, in the order to stop them.

    One that lies in a file (loop) comes before the one that holds the file: to freeze it is to
    write to it, and if what holds it were frozen, that would wait for ever. Beyond that the last
    one mounted comes first. What a process serves (fuseblk) is left out: its server is frozen by
    then.
    """
    mounts = [mount for mount in table.mounts if table.is_on_device(mount) and not mount.is_served]
    last_first = file_systems(mounts)[::-1]
    loops = LoopFiles(table)
    last_first.sort(key=lambda each: loops.depth(each[0]), reverse=True)
    return last_first


def _open_reachable(mounts: FileSystem) -> tuple[int, str]:
    """Open the first of these mounts of a file system that no other one hides."""
    # Of several at one place only the last one can be reached.
    at = {mount.mount_point: mount for mount in mounts}
    for place, mount in at.items():
        with suppress(OSError):
            return open_mount(mount, os.O_NONBLOCK), place
    places = ", ".join(islice(at, _SHOWN)) + (", …" if len(at) > _SHOWN else "")
    raise KernelRefusedError(
        f"the file system mounted at {places} cannot be reached to freeze it",
        "another mount hides it, or it does not answer: unmount one of them",
    )


class FileSystems:
    """The file systems to stop, opened before the freeze; those that we froze can be thawed.

    The states lie in memory shared with the watchdog, which thaws the same if
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
        self._state = mmap.mmap(-1, len(self._open) + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def freeze(self, progress: Callable[[], None]) -> None:
        """Stop them. Raises KernelRefusedError; what was frozen so far is for `thaw`.

        One that is frozen already stays so; one that cannot be frozen (vfat) is synced. `progress`
        is told before each.
        """
        for number, (fd, mount_point) in enumerate(self._open):
            progress()
            self._state[number] = _FREEZING
            try:
                filesystem.freeze(fd)
                self._state[number] = _FROZEN
            except OSError as error:
                self._state[number] = _GOES_ON
                if error.errno == errno.EOPNOTSUPP:
                    _sync(fd, mount_point)
                elif error.errno != errno.EBUSY:
                    raise KernelRefusedError(f"cannot freeze {mount_point}: {error}") from error

    def thaw(self) -> None:
        """Let those go on that `freeze` stopped, all of them whatever one says."""
        with ExitStack() as last_to_first:
            for number, (fd, _) in enumerate(self._open):
                if self._state[number] != _GOES_ON:
                    last_to_first.callback(self._thaw_one, number, fd)

    def _thaw_one(self, number: int, fd: int) -> None:
        try:
            filesystem.thaw(fd)
        except OSError as error:
            if error.errno != errno.EINVAL:  # it is not frozen any more
                raise
        self._state[number] = _GOES_ON

    def thaw_apart(self) -> None:
        """Let those go on that `freeze` has stopped, while it hangs in one that does not answer.

        To thaw is to write, so that may hang as well: each is thawed by a thread of its own, for
        which we do not wait long.
        """
        threads = [
            threading.Thread(target=self._try_to_thaw, args=(number, fd), daemon=True)
            for number, (fd, _) in enumerate(self._open)
            if self._state[number] == _FROZEN
        ]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + _ANSWERS_WITHIN
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0))

    def _try_to_thaw(self, number: int, fd: int) -> None:
        with suppress(OSError):
            self._thaw_one(number, fd)

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
