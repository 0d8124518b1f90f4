"""What can be wrong with an image, and the base of every error that a user gets to see.

Messages are lower case, without a full stop, and hold the place (offset, chunk number).
A hint is what the reader of the message can do; it goes on a line of its own.
"""


class TorporError(Exception):
    """The base of all errors that end a program with a message instead of a traceback."""

    exit_code = 1
    meaning = "an error of Torpor's own"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class NoImageError(TorporError):
    """There is nothing of ours where an image was looked for."""

    exit_code = 3
    meaning = "there is no image"


class DamagedError(TorporError):
    """The image is not what was written: a checksum, a length or a reserved byte is wrong."""

    exit_code = 4
    meaning = "the image is damaged or incomplete"


class IncompleteError(DamagedError):
    """The image has no end, or bytes after its end."""


class UnsupportedError(TorporError):
    """The image is of a version, or needs a feature, that this program does not know."""

    exit_code = 5
    meaning = "the image needs a newer Torpor"


class UnreadableError(TorporError):
    """The operating system could not read what holds the image."""

    exit_code = 6
    meaning = "a file or device cannot be read or written"
