"""What can be wrong with the files."""

from format.errors import TorporError


class ConfigurationError(TorporError):
    """A file that says what to do cannot be understood."""

    exit_code = 15
    meaning = "a configuration file is wrong"
