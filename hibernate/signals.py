"""Signals that ask to stop: they wait while the machine is frozen, and are asked for."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from errors import AbortedError

STOPPING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def stop_if_asked(_done: int = 0) -> None:
    """Raise AbortedError if one of them waits. Also what an image's writer calls as progress."""
    if asked := signal.sigpending() & STOPPING:
        raise AbortedError(f"stopped by {signal.Signals(min(asked)).name}")


@contextmanager
def signals_held_back() -> Iterator[None]:
    """Let no signal end us between freeze and thaw; one that asked to stop has been heard."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    except AbortedError:
        while signal.sigpending() & STOPPING:
            signal.sigwait(STOPPING)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
