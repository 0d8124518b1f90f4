"""What can go wrong while hibernating, beyond the store."""

from format.errors import TorporError


class AbortedError(TorporError):
    """Somebody asked to stop: SIGINT, SIGTERM or SIGHUP."""

    exit_code = 14
    meaning = "interrupted; the machine goes on"
