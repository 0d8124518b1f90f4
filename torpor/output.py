"""What the command says on stdout."""

import os
import sys

from errors import cannot


def say(text: str) -> None:
    """Print a line and see that it is out. Raises UnreadableError, BrokenPipeError."""
    try:
        print(text, flush=True)
    except OSError as error:
        # What cannot be written would be tried again, and complained of, at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        raise cannot("write", "the standard output", error) from error
