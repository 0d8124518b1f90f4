"""Waits for devices, and not for ever."""

import glob
import os
import time
from functools import cached_property
from typing import TYPE_CHECKING, Self

from errors import DeviceNotFoundError
from linux import tasks
from resume.request import MAX_TIMEOUT, Request
from store.locate import find_device

if TYPE_CHECKING:
    import pyudev

QUESTIONS = "/run/systemd/ask-password/ask.*"
"""A file for each passphrase that is being asked for (systemd's password agents)."""

_LOOK_AGAIN = 1.0
"""Seconds after which to look without an event: links are made by others than udev, too."""


class Waiting:
    """The time that devices have to come: that of the image, then those that the guard looks for.

    `timeout` seconds from `begun` on, a time of time.monotonic, for all together; time in which
    somebody is asked for a passphrase does not count for an hour.
    """

    def __init__(self, timeout: float, begun: float) -> None:
        self.timeout = timeout
        self._left = timeout
        self._now = begun
        self._questions_end = begun + MAX_TIMEOUT

    @classmethod
    def of(cls, request: Request) -> Self:
        """Return the time that a request gives.

        Whoever has waited before us waited for the image's device only. An image is lost if the
        guard misses a device, and a slow one comes with a slow machine: so the guard has all of
        the time, from now on.
        """
        if request.waited:
            return cls(request.timeout, time.monotonic())
        # A slow machine takes seconds to start us, and a boot does not wait for those on top.
        return cls(request.timeout, time.monotonic() - tasks.age() + request.delay)

    def more(self) -> bool:
        """Wait until there may be other devices than before; return False if the time is over."""
        before, self._now = self._now, time.monotonic()
        if self._now > self._questions_end or not glob.glob(QUESTIONS):
            self._left -= self._now - before
        if self._left <= 0:
            return False
        self._monitor.poll(timeout=min(self._left, _LOOK_AGAIN))
        return True

    @cached_property
    def _monitor(self) -> "pyudev.Monitor":
        """What tells of devices, from the first wait on: nobody reads it while an image loads."""
        import pyudev  # 15 ms and 2 MiB, for a boot that has to wait

        monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source=_event_source())
        monitor.filter_by("block")
        monitor.start()
        return monitor


def wait_for_device(spec: str, waiting: Waiting) -> str:
    """Return the path of the device that `spec` names as soon as it is there.

    Raises DeviceNotFoundError when the time is over.
    """
    while (path := find_device(spec)) is None:
        if not waiting.more():
            raise not_there(spec, waiting.timeout)
    return path


def not_there(spec: str, timeout: float) -> DeviceNotFoundError:
    """Return the error for a device that did not come in so many seconds."""
    return DeviceNotFoundError(f"{spec} did not appear within {timeout:.0f} s")


def _event_source() -> str:
    """Return whose events to wait for: udev's where it runs, since it adds the tags."""
    return "udev" if os.path.exists("/run/udev/control") else "kernel"
