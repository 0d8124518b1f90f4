"""What the guard finds."""

from typing import ClassVar

from format.errors import TorporError


class ChangedError(TorporError):
    """What the image knows of a file system is no longer so."""

    exit_code: ClassVar[int] = 19
    meaning: ClassVar[str] = "a file system that the image holds mounted has changed or is gone"
