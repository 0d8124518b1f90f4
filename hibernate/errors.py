"""What can go wrong while hibernating, beyond the store."""

from typing import ClassVar

from format.errors import TorporError


class AbortedError(TorporError):
    """Somebody asked to stop: SIGINT, SIGTERM or SIGHUP."""

    exit_code: ClassVar[int] = 14
    meaning: ClassVar[str] = "interrupted; the machine goes on"
