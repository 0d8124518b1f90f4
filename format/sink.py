"""Where an image goes, whatever that is."""

from collections.abc import Callable
from typing import Protocol

Wait = Callable[[], None]
"""Return when what was given to a sink may change. Raises what went wrong with it."""


def at_once() -> None:
    """Wait for nothing: what was given is written already."""


class Sink(Protocol):
    """Where an image goes."""

    behind: int
    """How many writes it has under way: whoever gives to it needs as many buffers more."""

    threads: int
    """How many may make what it is given."""

    def write(self, pages: memoryview) -> Wait:
        """Append whole pages, aligned to pages; return what to do before they change."""
