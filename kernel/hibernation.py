"""The kernel's own resume: /sys/power/resume (Documentation/ABI/testing/sysfs-power)."""

import os

RESUME = "/sys/power/resume"
RESUME_OFFSET = "/sys/power/resume_offset"


def resume_from(device: int, page: int) -> None:
    """Let the kernel resume from its own image on this device number, in swap at this page.

    Returns only if it did not. Raises OSError.
    """
    if page:
        _write(RESUME_OFFSET, str(page))
    _write(RESUME, f"{os.major(device)}:{os.minor(device)}")


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
