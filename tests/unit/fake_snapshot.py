"""A /dev/snapshot in memory that enforces the real one's rules (kernel/power/user.c, snapshot.c).

Two lives: `create_image` returns True; what the writer then stores can be loaded by a second
FakeSnapshot, whose `atomic_restore` raises Restored instead of never returning.
"""

import errno
import fcntl
import mmap
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from linux import PAGE_SIZE
from linux import snapshot as real


class Restored(BaseException):
    """Where the real ioctl does not return: the machine is the image now."""


class PoweredOff(BaseException):
    """Where the real machine is off."""


def require(is_so: bool, number: int) -> None:
    """Refuse as the kernel does, with the error of this number, unless it is so."""
    if not is_so:
        raise OSError(number, os.strerror(number))


class FakeSnapshot(real.SnapshotDevice):
    """The device of one machine; `stream` is the memory that a snapshot would give.

    `before` has what is to happen before a call is carried out, `fail` the errors of calls. A child
    that inherits it takes pages of the same swap; what it calls is not in `calls`.
    """

    def __init__(self, stream: bytes = b"", *, swap_pages: Sequence[int] = ()) -> None:
        self.stream = stream
        self.swap_pages = swap_pages
        self._taken = mmap.mmap(-1, mmap.PAGESIZE)
        self._one_at_a_time = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as this is
        self._opener = 0
        self.calls: list[str] = []
        self.fail: dict[str, int] = {}
        self.before: dict[str, Callable[[], object]] = {}
        self.second_life = False
        self.flags = -1
        self.frozen = self.ready = False
        self.swap_area: bytes | None = None
        self.at = 0
        self.loaded = bytearray()
        self.complete = False

    @property
    def taken(self) -> int:
        """How many pages are given away."""
        return int.from_bytes(self._taken[:8], "little")

    @taken.setter
    def taken(self, count: int) -> None:
        self._taken[:8] = count.to_bytes(8, "little")

    @property
    def given(self) -> list[int]:
        return [*self.swap_pages[: self.taken]]

    @property
    def free_swap(self) -> list[int]:
        return [*self.swap_pages[self.taken :]]

    def open(self, flags: int) -> "FakeSnapshot":
        require(self.flags == -1, errno.EBUSY)
        require(flags in (os.O_RDONLY, os.O_WRONLY), errno.ENOSYS)
        self.flags = flags
        self._opener = os.getpid()
        return self

    def close(self) -> None:
        self.calls.append("close")
        self.flags = -1
        if os.getpid() == self._opener:
            self.taken = 0
        self.ready = self.frozen = False
        self.swap_area = None

    def _call(self, name: str) -> None:
        require(self.flags != -1, errno.EBADF)
        self.calls.append(name)
        require(name not in self.fail, self.fail.get(name, 0))
        self.before.get(name, lambda: None)()

    def _ioctl(self, request: int, argument: int | bytes | bytearray | memoryview = 0) -> None:
        name = _NAMES[request]
        with self._alone():
            self._call(name)
            answer = getattr(self, f"do_{name}")(argument)
        if answer is not None:
            assert isinstance(argument, bytearray | memoryview)
            argument[:] = answer.to_bytes(len(argument), "little")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Refuse while another process makes a call (snapshot_ioctl)."""
        try:
            fcntl.lockf(self._one_at_a_time, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY)) from error
        try:
            yield
        finally:
            fcntl.lockf(self._one_at_a_time, fcntl.LOCK_UN)

    def _ioctl_each(self, request: int, arguments: list[memoryview]) -> None:
        for argument in arguments:
            self._ioctl(request, argument)

    def do_freeze(self, _argument: object) -> None:
        self.frozen = True

    def do_unfreeze(self, _argument: object) -> None:
        if self.frozen and not self.ready:
            self.frozen = False

    def do_create_image(self, _argument: object) -> int:
        require(self.flags == os.O_RDONLY and self.frozen and not self.ready, errno.EPERM)
        self.ready = True
        self.at = 0
        return int(not self.second_life)

    def do_get_image_size(self, _argument: object) -> int:
        require(self.ready, errno.ENODATA)
        return len(self.stream)

    def do_free(self, _argument: object) -> None:
        self.ready = False

    def do_set_swap_area(self, argument: bytes) -> None:
        assert len(argument) == 12
        assert self.swap_area is None, "from 7.1 on a second call drops what the first has pinned"
        self.swap_area = argument

    def do_alloc_swap_page(self, _argument: object) -> int:
        require(self.swap_area is not None, errno.ENODEV)
        require(self.taken < len(self.swap_pages), errno.ENOSPC)
        self.taken += 1
        return self.swap_pages[self.taken - 1] * PAGE_SIZE

    def do_avail_swap_size(self, _argument: object) -> int:
        return (len(self.swap_pages) - self.taken) * PAGE_SIZE

    def do_platform_support(self, argument: int) -> None:
        self.platform = bool(argument)

    def do_power_off(self, _argument: object) -> None:
        if self.platform:
            raise PoweredOff

    def do_atomic_restore(self, _argument: object) -> None:
        require(self.flags == os.O_WRONLY and self.frozen and self.complete, errno.EPERM)
        raise Restored

    def read(self, pages: Sequence[memoryview]) -> int:
        """One read(2) per segment, as the VFS does for a device without read_iter."""
        self._call("read")
        require(self.ready, errno.ENODATA)
        require(len(pages) <= os.sysconf("SC_IOV_MAX"), errno.EINVAL)
        total = 0
        for segment in pages:
            part = self.stream[self.at : self.at + min(len(segment), PAGE_SIZE)]
            segment[: len(part)] = part
            self.at += len(part)
            total += len(part)
            if len(part) < len(segment):
                break
        return total

    def write(self, pages: Sequence[memoryview]) -> int:
        """The image is complete only at the write after its last page, as from 6.6 on."""
        self._call("write")
        total = 0
        for segment in pages:
            if len(self.loaded) == len(self.stream):
                self.complete = True
                break
            part = bytes(segment[:PAGE_SIZE])
            require(bool(self.loaded) or part == self.stream[:PAGE_SIZE], errno.EPERM)
            self.loaded += part
            total += len(part)
            if len(part) < len(segment):
                break
        return total


_NAMES = {
    getattr(real, name.removeprefix("do_").upper()): name.removeprefix("do_")
    for name in vars(FakeSnapshot)
    if name.startswith("do_")
}
