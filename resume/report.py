"""Says what happened, one line at a time, where it is seen: the console, or stderr."""

import sys
from _collections_abc import Callable  # `collections` would cost each boot 3 ms

from linux import kmsg
from linux.line import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

Report = Callable[[int, str], None]
"""Says something: a level of kmsg and a message of one line."""

NAME = "torpor-resume"


def to_stderr(_level: int, message: str) -> None:
    """Print the message: for a dry run, and where there is no kernel log."""
    show(f"{NAME}: {one_line(message)}", sys.stderr)


def show(text: str, stream: "TextIO") -> None:
    """Print a text of our own as it is, of any number of lines, if that can be done."""
    try:
        print(text, file=stream, flush=True)
    except OSError:
        return


def to_console(message: str) -> None:
    """Print the message for who sits before the machine, even with `quiet`."""
    show(f"{NAME}: {one_line(message)}", sys.stdout)


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
