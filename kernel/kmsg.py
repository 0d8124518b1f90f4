"""/dev/kmsg: the kernel log, and through it the console (Documentation/ABI/testing/dev-kmsg)."""

import os

PATH = "/dev/kmsg"

ERR = 3
"""Shown on the console even with `quiet`."""
WARNING = 4
INFO = 6


class KernelLog:
    """The kernel log, open from the start: it can be written to while file systems are frozen."""

    def __init__(self, name: str) -> None:
        """`name` stands before each message. Raises OSError if /dev/kmsg cannot be opened."""
        self._name = name
        self._fd = os.open(PATH, os.O_WRONLY | os.O_CLOEXEC)

    def write(self, level: int, message: str) -> None:
        """Write one line. The kernel may drop lines that come too fast; that is no error."""
        text = " ".join(message.split())
        os.write(self._fd, f"<{level}>{self._name}: {text}\n".encode()[:900])

    def close(self) -> None:
        """Close it."""
        os.close(self._fd)
