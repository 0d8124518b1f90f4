"""The machine to examine: its files and devices, and what logind says of it."""

from collections.abc import Callable

from linux.root import Root


class Machine(Root):
    """Reads files of the machine; a test derives one whose devices are files below a folder."""

    def __init__(self, root: str = "/", can_hibernate: Callable[[], str] = str) -> None:
        super().__init__(root)
        self.can_hibernate = can_hibernate
        """Asks logind, and returns its answer, "" for none: what it makes of all is in no file."""
