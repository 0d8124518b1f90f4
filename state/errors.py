"""What can be wrong with the files."""

from typing import ClassVar

from format.errors import TorporError


class ConfigurationError(TorporError):
    """A file that says what to do cannot be understood."""

    exit_code: ClassVar[int] = 15
    meaning: ClassVar[str] = "a configuration file is wrong"
