"""/dev/kmsg: the kernel log, and through it the console (Documentation/ABI/testing/dev-kmsg)."""

import os
from _collections_abc import Callable  # `collections` would cost each boot 3 ms
from itertools import cycle

from linux.line import one_line
from linux.open_file import OpenFile

Log = Callable[[str], None]
"""Takes a line for whoever follows what happens: in the kernel log, or at the terminal."""

PATH = "/dev/kmsg"

ERR = 3
"""Shown on the console even with `quiet`."""
WARNING = 4
INFO = 6

_OPEN = 4
"""The kernel takes ten lines in five seconds from each opening and drops others
(kernel/printk/printk.c, devkmsg_open: a rate limit of its own): so there are several."""
_LONGEST = 900
"""Bytes of a line, which printk may cut off at 1000 (PRINTKRB_RECORD_MAX)."""
_CONSOLE_ON = 7
_RECORD_SIZE = 8192
"""A read takes one record or fails (CONSOLE_EXT_LOG_MAX, later PRINTK_MESSAGE_MAX)."""


class KernelLog:
    """The kernel log, open from the start: it can be written to while file systems are frozen."""

    def __init__(self, name: str) -> None:
        """`name` stands before each message. Raises OSError if /dev/kmsg cannot be opened."""
        self._name = name
        self._fds = [os.open(PATH, os.O_WRONLY | os.O_CLOEXEC) for _ in range(_OPEN)]
        self._next = cycle(self._fds)

    def write(self, level: int, message: str) -> None:
        """Write one line. The kernel may drop lines that come too fast; that is no error."""
        line = f"<{level}>{self._name}: {one_line(message)}".encode()[:_LONGEST]
        # Without a newline nobody sees the record before the next one (printk.c, printk_sprint).
        os.write(next(self._next), line.decode(errors="ignore").encode() + b"\n")

    def close(self) -> None:
        """Close it."""
        for fd in self._fds:
            os.close(fd)


def show_on_console() -> None:
    """Let messages be seen on the console again after somebody has switched that off.

    kernel/printk/printk.c, SYSLOG_ACTION_CONSOLE_ON: nothing where nobody has.
    """
    from linux.libc import libc  # ctypes, not at every boot

    libc.klogctl(_CONSOLE_ON, None, 0)


class KernelLogReader(OpenFile):
    """What comes into the kernel log from now on, until it is closed."""

    def __init__(self) -> None:
        """Raise OSError if /dev/kmsg cannot be read."""
        super().__init__(os.open(PATH, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        os.lseek(self.fd, 0, os.SEEK_END)

    def new_messages(self) -> list[str]:
        """Return the messages since the last call, as far as the kernel has kept them."""
        messages: list[str] = []
        while True:
            try:
                record = os.read(self.fd, _RECORD_SIZE)
            except BlockingIOError:
                return messages
            except BrokenPipeError:  # older ones were overwritten: the next read goes on behind
                continue
            if not record:
                return messages
            messages.append(_message(record))


def _message(record: bytes) -> str:
    """Return the text of a record: behind the first semicolon, without the fields below it."""
    return record.partition(b";")[2].partition(b"\n")[0].decode("utf-8", "replace")
