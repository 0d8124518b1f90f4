"""A file that is open, and closed in time. Every boot imports this."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


class OpenFile:
    """A file, device or folder that is open as `fd`; a context manager that closes it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it."""
        os.close(self.fd)
