"""What can go wrong while the system is changed."""

from typing import ClassVar

from format.errors import TorporError


class SetupError(TorporError):
    """A step failed, or a file is in the way."""

    exit_code: ClassVar[int] = 18
    meaning: ClassVar[str] = "the system cannot be set up"
