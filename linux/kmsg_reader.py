"""/dev/kmsg, read: what the kernel says from now on (Documentation/ABI/testing/dev-kmsg)."""

import os
from typing import Self

from linux import kmsg

_RECORD_SIZE = 8192
"""A read takes one record or fails (CONSOLE_EXT_LOG_MAX, later PRINTK_MESSAGE_MAX)."""


class KernelLogReader:
    """What comes into the kernel log from now on."""

    def __init__(self) -> None:
        """Raise OSError if /dev/kmsg cannot be read."""
        self._fd = os.open(kmsg.PATH, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.lseek(self._fd, 0, os.SEEK_END)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def new_messages(self) -> list[str]:
        """Return the messages since the last call, as far as the kernel has kept them."""
        messages: list[str] = []
        while True:
            try:
                record = os.read(self._fd, _RECORD_SIZE)
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
