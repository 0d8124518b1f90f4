"""reboot(2), and the kernel's own hibernation: /sys/power.

Documentation/ABI/testing/sysfs-power, Documentation/admin-guide/pm/sleep-states.rst.
"""

import ctypes
import os

from linux import proc
from linux.libc import checked, libc

# include/uapi/linux/reboot.h
RB_AUTOBOOT = 0x01234567
RB_HALT_SYSTEM = 0xCDEF0123
RB_POWER_OFF = 0x4321FEDC

IMAGE_SIZE = "/sys/power/image_size"
RESERVED_SIZE = "/sys/power/reserved_size"
RESUME = "/sys/power/resume"
RESUME_OFFSET = "/sys/power/resume_offset"


def reboot(command: int) -> None:
    """Reboot, halt or power off at once, without sync. Does not return; OSError if it cannot."""
    checked(libc.reboot(ctypes.c_uint(command)))


def restart_at_once() -> None:
    """Restart although the kernel is stuck; as after a power cut.

    reboot(2) waits for whoever takes a snapshot, and for each device (kernel/reboot.c). A kernel
    without the key (CONFIG_MAGIC_SYSRQ) is asked so; the mask of allowed keys counts for the
    keyboard only (Documentation/admin-guide/sysrq.rst). Raises OSError if it cannot.
    """
    try:
        proc.write("/proc/sysrq-trigger", "b")
    except OSError:
        reboot(RB_AUTOBOOT)


def has_platform_mode() -> bool:
    """Return whether the firmware offers S4."""
    try:
        return "platform" in proc.read("/sys/power/disk")
    except OSError:
        return False


def preferred_image_size() -> int:
    """Return the size in bytes that the kernel tries to keep an image below. Raises OSError."""
    return size_at(IMAGE_SIZE)


def size_at(path: str) -> int:
    """Return the bytes of IMAGE_SIZE or RESERVED_SIZE. Raises OSError, EINVAL if it says none."""
    return _number(path)


def _number(path: str) -> int:
    said = proc.read(path).strip()
    if not said.isdecimal():
        raise proc.mangled(path)
    return int(said)


def set_size(path: str, size: int) -> None:
    """Set one of them; an image size of 0 asks for the smallest. Raises OSError."""
    proc.write(path, str(size))


def named_place() -> tuple[int, int]:
    """Return the device number and the page that are named to the kernel; 0 for none.

    There it would resume from, and there it writes an image of its own. Raises OSError.
    """
    major, _, minor = proc.read(RESUME).strip().partition(":")
    if not (major.isdecimal() and minor.isdecimal()):
        raise proc.mangled(RESUME)
    return os.makedev(int(major), int(minor)), _number(RESUME_OFFSET)


def name_place(device: int, page: int) -> None:
    """Name a device number and a page to the kernel. Raises OSError.

    The kernel looks there at once, and does not return if it finds an image of its own
    (kernel/power/hibernate.c, resume_store).
    """
    proc.write(RESUME_OFFSET, str(page))
    proc.write(RESUME, f"{os.major(device)}:{os.minor(device)}")


def name_none() -> None:
    """Take back what was named. Raises OSError: EINVAL from Linux 6.1, not from 6.12."""
    proc.write(RESUME, "0:0")
    proc.write(RESUME_OFFSET, "0")
