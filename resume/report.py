"""Says what happened, one line at a time, where it is seen: the console, or stderr."""

import sys
from collections.abc import Callable

from kernel import kmsg

NAME = "torpor-resume"

Report = Callable[[int, str], None]
"""Take a kmsg level and a message of one line."""


def to_stderr(_level: int, message: str) -> None:
    """Print the message: for a dry run, and where there is no kernel log."""
    print(f"{NAME}: {message}", file=sys.stderr)


def to_kernel_log() -> Report:
    """Return what writes to /dev/kmsg, from where the kernel brings it to the console."""
    try:
        return kmsg.KernelLog(NAME).write
    except OSError:
        return to_stderr
