"""Says what happened, one line at a time, where it is seen: the console, or stderr."""

import sys

from linux import kmsg

NAME = "torpor-resume"


def to_stderr(_level: int, message: str) -> None:
    """Print the message: for a dry run, and where there is no kernel log."""
    print(f"{NAME}: {message}", file=sys.stderr)


def to_kernel_log(level: int, message: str) -> None:
    """Write the message, at a level of kmsg, to where the kernel brings it to the console."""
    try:
        log = kmsg.KernelLog(NAME)
    except OSError:
        to_stderr(level, message)
        return
    try:
        log.write(level, message)
    finally:
        log.close()
