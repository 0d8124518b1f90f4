"""Waits for what a descriptor is given."""

import select


def readable(fd: int, seconds: float | None) -> bool:
    """Return whether there is something to read, or an end, within that time; None is for ever.

    select(2) takes no descriptor above 1023, and we may be started with many.
    """
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(None if seconds is None else max(0, seconds) * 1000))
