"""Ends a boot that hangs while it loads an image: a device has stopped answering.

No signal reaches who waits for one, and no boot may go on beside a load that does, should the
device answer again. So the machine restarts. The mark counts the loads: after three that did not
end the image is discarded, and the boot is cold.
"""

import threading
from contextlib import suppress
from typing import Self

from linux import kmsg, power, stall
from resume.report import Report


class Stall:
    """Restarts the machine if nothing gets on, until the end of a `with` block."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._count = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def progress(self) -> None:
        """Say that something has got on."""
        self._count += 1

    def _watch(self) -> None:
        quiet = stall.Quiet()
        while not self._ended.wait(stall.LIMIT / stall.LOOKS):
            if quiet.look(self._count) >= stall.LOOKS:
                with suppress(OSError):
                    self._report(
                        kmsg.ERR,
                        f"no progress for {stall.LIMIT:.0f} s, a device does not answer: the "
                        "machine restarts",
                    )
                power.restart_at_once()
