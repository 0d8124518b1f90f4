"""The store on a server at a boot: waits for the network, and not for ever."""

import os
import time

from errors import DeviceNotFoundError, UnreachableError
from resume.wait import Waiting
from s3.client import Patience
from store.server.head import Head
from store.server.store import open_head

_PAUSE = 0.5
"""Seconds after which to ask again."""


def await_head(url: str, machine_id: str, waiting: Waiting) -> Head:
    """Return the head of this machine's store, as soon as the network leads to it.

    Raises DeviceNotFoundError when the time is over, ConfigurationError, StoreRefusedError,
    DamagedError, ServerError where waiting is of no use.
    """
    os.environ["RES_OPTIONS"] = "timeout:1 attempts:2"  # resolv.conf(5): glibc waits 10 s and more
    seconds = waiting.seconds_for_server
    end = time.monotonic() + seconds
    has_said = False
    while True:
        left = end - time.monotonic()
        try:
            # The second try is for who learns from the first answer what time it is.
            return open_head(url, machine_id, Patience(tries=2, seconds=max(left, _PAUSE)))
        except UnreachableError as error:
            if time.monotonic() + _PAUSE >= end:
                raise DeviceNotFoundError(str(error), error.hint) from error
            if not has_said:
                waiting.say(f"waiting up to {seconds:.0f} s for {url}")
            has_said = True
        time.sleep(_PAUSE)
