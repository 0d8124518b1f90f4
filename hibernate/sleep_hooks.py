"""Runs the programs in /usr/lib/systemd/system-sleep before and after, as systemd-sleep does.

They stop and start what does not survive a hibernation by itself; systemd.sleep(8) has the
contract, src/sleep/sleep.c and src/shared/exec-util.c what is not said there.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from linux import programs
from linux.kmsg import Log

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess

FOLDER = "/usr/lib/systemd/system-sleep"

LIMIT = 90.0
"""Seconds for all of them together (DEFAULT_TIMEOUT_USEC)."""

_LEFTOVERS = ("~", ".bak", ".old", ".new", ".swp", ".rpmnew", ".rpmsave", ".rpmorig")


@contextmanager
def sleep_hooks(report: Log, folder: str = FOLDER) -> Iterator[None]:
    """Run all hooks with `pre`, and with `post` however the body ends.

    A hook that fails or takes too long is reported and stops nothing.
    """
    try:
        run_hooks("pre", report, folder)
        yield
    finally:
        run_hooks("post", report, folder)


def run_hooks(when: str, report: Log, folder: str = FOLDER, limit: float = LIMIT) -> None:
    """Run all hooks side by side and wait for them; `when` is pre or post."""
    import subprocess  # only where somebody wants them run

    variables = programs.environment() | {"SYSTEMD_SLEEP_ACTION": "hibernate"}
    deadline = time.monotonic() + limit
    running = []
    for path in hooks(folder):
        try:
            process = subprocess.Popen(
                [path, when, "hibernate"], env=variables, stdin=subprocess.DEVNULL
            )
        except OSError as error:
            report(f"{path} does not start: {(error.strerror or str(error)).lower()}")
        else:
            running.append((path, process))
    for path, process in running:
        _wait(path, process, deadline, report)


def hooks(folder: str = FOLDER) -> list[str]:
    """Return the paths of the executables in the folder, without what packages leave over."""
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    paths = [
        f"{folder}/{name}"
        for name in names
        if not name.startswith(".") and not name.endswith(_LEFTOVERS) and ".dpkg-" not in name
    ]
    return [path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK)]


def _wait(path: str, process: "subprocess.Popen[bytes]", deadline: float, report: Log) -> None:
    import subprocess

    try:
        status = process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        report(f"{path} takes too long and is killed")
        return
    if status > 0:
        report(f"{path} ends with status {status}")
    elif status < 0:
        report(f"{path} is killed by signal {-status}")
