"""Has the working set brought back in the background, after a hibernation."""

import os
from collections.abc import Callable
from contextlib import suppress

from errors import TorporError
from linux import programs
from linux.kmsg import Log

UNIT = "torpor-workingset.service"
_SECONDS = 10.0
"""For systemd to take the order."""


def start_replay() -> None:
    """Start what brings back the working set that waits; returns at once. Raises OSError.

    Our service, anew if an older replay goes on; a process where there is no such service.
    """
    import subprocess  # nobody waits for this any more

    with suppress(OSError, subprocess.TimeoutExpired):
        start = ["systemctl", "restart", "--no-block", UNIT]
        if os.path.isdir(programs.SYSTEMD_RUNS) and not programs.run(start, _SECONDS).returncode:
            return
    programs.start_ourselves("workingset", "replay")


def bring_back(section: bytes, log: Log, start: Callable[[], None] = start_replay) -> None:
    """Have the working set brought back in the background; returns at once."""
    if not section:
        return
    from state.working_set import save_working_set  # nobody waits for this any more

    try:
        save_working_set(section)
        start()
    except (TorporError, OSError) as error:
        log(f"the working set is not brought back: {error}")
