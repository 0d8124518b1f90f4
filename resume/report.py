"""Says what happened, one line at a time, where it is seen: the console, or stderr."""

import sys
from _collections_abc import Callable  # `collections` would cost each boot 3 ms

from linux import kmsg

Report = Callable[[int, str], None]
"""Says something: a level of kmsg and a message of one line."""

NAME = "torpor-resume"


def to_stderr(_level: int, message: str) -> None:
    """Print the message: for a dry run, and where there is no kernel log."""
    print(f"{NAME}: {message}", file=sys.stderr)


def to_stdout(text: str) -> None:
    """Print the text as it is, if that can be done."""
    try:
        print(text, flush=True)
    except OSError:
        return


def to_console(message: str) -> None:
    """Print the message for who sits before the machine, even with `quiet`."""
    to_stdout(f"{NAME}: {message}")


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
