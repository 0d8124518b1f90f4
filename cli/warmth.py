"""What a hibernation does for the working set: recorded before it, brought back after it."""

import os
import subprocess
import time
from collections.abc import Callable

from cli.replayed import describe
from format.errors import TorporError
from kernel import programs
from state.conf import NO_PATHS, OFF
from state.working_set import save_working_set
from workingset.record import record

Log = Callable[[str], None]

UNIT = "torpor-workingset.service"
_SYSTEMD = "/run/systemd/system"
"""sd_booted(3)."""
_SYSTEMD_SECONDS = 10.0


def recorded(wish: str, log: Log) -> bytes:
    """Return the working set of now as a section of an image, b"" if `wish` is OFF.

    Whatever goes wrong is no reason not to hibernate: it is logged, and there is none.
    """
    if wish == OFF:
        return b""
    begun = time.monotonic()
    try:
        whole = record(with_paths=wish != NO_PATHS)
        section = whole.build()
    except (OSError, ValueError) as error:
        log(f"no working set is recorded: {error}")
        return b""
    log(f"working set of {describe(whole)} recorded in {time.monotonic() - begun:.1f} s")
    return section


def bring_back(section: bytes, log: Log) -> None:
    """Have the working set brought back in the background; returns at once."""
    if not section:
        return
    try:
        save_working_set(section)
        if not _start_unit():
            _start_process()
    except (TorporError, OSError) as error:
        log(f"the working set is not brought back: {error}")


def _start_unit() -> bool:
    """Start our service; return whether there is one to start."""
    if not os.path.isdir(_SYSTEMD):
        return False
    try:
        done = programs.run(["systemctl", "start", "--no-block", UNIT], _SYSTEMD_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _start_process() -> None:
    """Start a process of its own, which outlives this one and says how it went in the log."""
    # Else PyInstaller takes it for a part of this process, and looks for libraries as this one did.
    anew = {"PYINSTALLER_RESET_ENVIRONMENT": "1"}
    log = os.open("/dev/kmsg", os.O_WRONLY | os.O_CLOEXEC)
    try:
        subprocess.Popen(
            [os.readlink("/proc/self/exe"), "workingset", "replay"],
            env=programs.environment() | anew,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    finally:
        os.close(log)
