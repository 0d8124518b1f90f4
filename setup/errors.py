"""What can go wrong while the system is changed."""

from format.errors import TorporError


class SetupError(TorporError):
    """A step failed, or a file is in the way."""

    exit_code = 18
    meaning = "the system cannot be set up"
