"""Waits for the device, and not for ever."""

import glob
import os
import time

import pyudev

from store.errors import DeviceNotFoundError
from store.locate import find_device

QUESTIONS = "/run/systemd/ask-password/ask.*"
"""A file for each passphrase that is being asked for (systemd's password agents)."""

_LOOK_AGAIN = 1.0
"""Seconds after which to look without an event: links are made by others than udev, too."""


def wait_for_device(spec: str, timeout: float, begun: float) -> str:
    """Return the path of the device that `spec` names as soon as it is there.

    Raises DeviceNotFoundError `timeout` seconds after `begun`, a time of time.monotonic; time in
    which somebody is asked for a passphrase does not count.
    """
    monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source=_event_source())
    monitor.filter_by("block")
    monitor.start()
    left, now = timeout, begun
    while (path := find_device(spec)) is None:
        before, now = now, time.monotonic()
        if not glob.glob(QUESTIONS):
            left -= now - before
        if left <= 0:
            raise not_there(spec, timeout)
        monitor.poll(timeout=min(left, _LOOK_AGAIN))
    return path


def not_there(spec: str, timeout: float) -> DeviceNotFoundError:
    """Return the error for a device that did not come in so many seconds."""
    return DeviceNotFoundError(f"{spec} did not appear within {timeout:.0f} s")


def _event_source() -> str:
    """Return whose events to wait for: udev's where it runs, since it adds the tags."""
    return "udev" if os.path.exists("/run/udev/control") else "kernel"
