"""What the guard finds."""

from format.errors import TorporError


class ChangedError(TorporError):
    """What the image knows of a file system is no longer so."""

    exit_code = 19
    meaning = "a file system that the image holds mounted has changed or is gone"
