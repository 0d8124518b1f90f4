"""reboot(2) and /sys/power."""

import ctypes
import os

RB_AUTOBOOT = 0x01234567
RB_HALT_SYSTEM = 0xCDEF0123
RB_POWER_OFF = 0x4321FEDC

_libc = ctypes.CDLL(None, use_errno=True)


def reboot(command: int) -> None:
    """Reboot, halt or power off at once, without sync. Does not return; OSError if it cannot."""
    if _libc.reboot(ctypes.c_uint(command)) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))


def has_platform_mode() -> bool:
    """Return whether the firmware offers S4 (Documentation/admin-guide/pm/sleep-states.rst)."""
    try:
        with open("/sys/power/disk", encoding="ascii") as file:
            return "platform" in file.read()
    except OSError:
        return False


def preferred_image_size() -> int:
    """Return the size in bytes that the kernel tries to keep an image below."""
    with open("/sys/power/image_size", encoding="ascii") as file:
        return int(file.read())
