"""When a device counts as gone: nothing has got on for so long."""

LIMIT = 200.0
"""Seconds: a command of a SCSI disk is tried for less (six times 30, drivers/scsi/sd.h)."""

LOOKS = 8
"""How often to look within the limit. Not the time decides, which may jump in a virtual machine
that is stopped, but how many looks have seen the same."""


class Quiet:
    """Counts the looks that have seen the same in a row."""

    def __init__(self) -> None:
        self._seen: object = None
        self._looks = 0

    def look(self, seen: object) -> int:
        """Return how many there were before that saw what is seen now."""
        self._looks = self._looks + 1 if seen == self._seen else 0
        self._seen = seen
        return self._looks
