"""/dev/snapshot: include/uapi/linux/suspend_ioctls.h, kernel/power/user.c."""

import fcntl
import os
import struct
from array import array
from collections import deque
from collections.abc import Sequence
from functools import partial

from linux.block import encode_device
from linux.open_file import OpenFile

PATH = "/dev/snapshot"

_NONE, _WRITE, _READ = 0, 1, 2
_LONG = struct.Struct("=q")
_INT = struct.Struct("=i")
_SWAP_AREA = struct.Struct("=qI")
"""struct resume_swap_area, packed: offset of the swap header in pages, device."""


def _request(direction: int, number: int, size: int = 0) -> int:
    return direction << 30 | size << 16 | ord("3") << 8 | number


FREEZE = _request(_NONE, 1)
UNFREEZE = _request(_NONE, 2)
ATOMIC_RESTORE = _request(_NONE, 4)
FREE = _request(_NONE, 5)
SET_SWAP_AREA = _request(_WRITE, 13, _SWAP_AREA.size)
GET_IMAGE_SIZE = _request(_READ, 14, _LONG.size)
PLATFORM_SUPPORT = _request(_NONE, 15)
POWER_OFF = _request(_NONE, 16)
CREATE_IMAGE = _request(_WRITE, 17, _INT.size)
AVAIL_SWAP_SIZE = _request(_READ, 19, _LONG.size)
ALLOC_SWAP_PAGE = _request(_READ, 20, _LONG.size)


class SnapshotDevice(OpenFile):
    """The open device, one method per ioctl. Raises OSError as the kernel does.

    Opening: EPERM under lockdown or `nohibernate`, EBUSY if somebody has it open, ENOENT if
    the kernel was built without it. Closing: the kernel frees image and swap pages and thaws what
    it froze.
    """

    def __init__(self, flags: int) -> None:
        """Open it: os.O_RDONLY to create an image, os.O_WRONLY to restore one."""
        super().__init__(os.open(PATH, flags | os.O_CLOEXEC))

    def _ioctl(self, request: int, argument: int | bytes | bytearray = 0) -> None:
        """Make the one system call of most methods; the kernel changes a bytearray."""
        fcntl.ioctl(self.fd, request, argument)

    def _ioctl_each(self, request: int, arguments: list[memoryview]) -> None:
        """Make a system call for each, which the kernel changes, without Python's part in each."""
        deque(map(partial(fcntl.ioctl, self.fd, request), arguments), maxlen=0)

    def freeze(self) -> None:
        """Freeze all user tasks but this thread. EBUSY: one did not stop within its time."""
        self._ioctl(FREEZE)

    def unfreeze(self) -> None:
        """Let the tasks run again."""
        self._ioctl(UNFREEZE)

    def create_image(self) -> bool:
        """Take the snapshot. True at once: it is there; False much later: it was restored.

        EPERM if tasks are not frozen; ENOMEM if memory does not suffice.
        """
        in_suspend = bytearray(_INT.size)
        self._ioctl(CREATE_IMAGE, in_suspend)
        return in_suspend != bytes(_INT.size)

    def atomic_restore(self) -> None:
        """Become the loaded image; returns only by OSError (EPERM: not complete, not frozen)."""
        self._ioctl(ATOMIC_RESTORE)

    def free(self) -> None:
        """Free the image's memory."""
        self._ioctl(FREE)

    def set_swap_area(self, device: int, offset: int) -> None:
        """Name the active swap area that alloc_swap_pages uses; `offset` of its header in pages."""
        self._ioctl(SET_SWAP_AREA, _SWAP_AREA.pack(offset, encode_device(device)))

    def avail_swap_size(self) -> int:
        """Return the bytes that are free in the area that set_swap_area named."""
        return self._get_long(AVAIL_SWAP_SIZE)

    def alloc_swap_pages(self, count: int) -> "array[int]":
        """Allocate up to `count` pages of swap, return their offsets on the device in bytes.

        An error comes out only if there is none; ENOSPC: no page is free. They are taken until this
        is closed (user.c, snapshot_release). Needs no snapshot, and no frozen task.
        """
        offsets = array("q", bytes(count * _LONG.size))
        view = memoryview(offsets).cast("B")
        slots = [view[at : at + _LONG.size] for at in range(0, len(view), _LONG.size)]
        try:
            self._ioctl_each(ALLOC_SWAP_PAGE, slots)
        except OSError:
            got = offsets.index(0)  # where the swap's header is
            if not got:
                raise
            return offsets[:got]
        return offsets

    def image_size(self) -> int:
        """Return the size in bytes of the image that create_image took."""
        return self._get_long(GET_IMAGE_SIZE)

    def _get_long(self, request: int) -> int:
        number = bytearray(_LONG.size)
        self._ioctl(request, number)
        return int.from_bytes(number, "little", signed=True)

    def platform_support(self, *, enabled: bool) -> None:
        """Say whether power_off may use the firmware (ACPI S4)."""
        self._ioctl(PLATFORM_SUPPORT, int(enabled))

    def power_off(self) -> None:
        """Power off, by the firmware if platform_support allowed it; does not return then."""
        self._ioctl(POWER_OFF)

    def read(self, pages: Sequence[memoryview]) -> int:
        """Read the image's next bytes, return how many, 0 at its end.

        The device moves one page per segment: each view holds one page.
        """
        return os.readv(self.fd, pages)

    def write(self, pages: Sequence[memoryview]) -> int:
        """Give the kernel the image's next bytes, return how many it took; see `read`.

        One more write after the last page, which may return 0, tells the kernel that the image
        is complete: without it an image that ends in zero pages is refused from 6.6 on
        (005e8dddd497; mended by 734eba62cd32).
        """
        return os.writev(self.fd, pages)
