"""The kernel's own resume: /sys/power/resume (Documentation/ABI/testing/sysfs-power)."""

import os

RESUME = "/sys/power/resume"
RESUME_OFFSET = "/sys/power/resume_offset"


def named() -> tuple[int, int]:
    """Return the device number and the page that are named to the kernel; 0 for none.

    There it would resume from, and there it writes an image of its own. Raises OSError.
    """
    major, _, minor = _read(RESUME).partition(":")
    return os.makedev(int(major), int(minor)), int(_read(RESUME_OFFSET))


def name_place(device: int, page: int) -> None:
    """Name a device number and a page to the kernel. Raises OSError.

    The kernel looks there at once, and does not return if it finds an image of its own
    (kernel/power/hibernate.c, resume_store).
    """
    _write(RESUME_OFFSET, str(page))
    _write(RESUME, f"{os.major(device)}:{os.minor(device)}")


def name_none() -> None:
    """Take back what was named. Raises OSError: EINVAL from Linux 6.1, not from 6.12."""
    _write(RESUME, "0:0")
    _write(RESUME_OFFSET, "0")


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read().strip()


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
