"""What a hibernation does for the working set: recorded before it, brought back after it."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from io import RawIOBase
from typing import NoReturn

from errors import TorporError
from format.working_set import WorkingSet
from linux import kmsg, programs
from linux.kmsg import Log
from state.conf import NO_PATHS, OFF
from state.working_set import save_working_set
from workingset.page_out import LIMIT as PAGE_OUT_LIMIT
from workingset.page_out import page_out, to_page_out
from workingset.record import LIMIT, fit, record

UNIT = "torpor-workingset.service"
_SECONDS = 10.0
"""For systemd to take the order."""
MOST_SECONDS = 2 * (LIMIT + PAGE_OUT_LIMIT)
"""Recording is abandoned after this: it waits for a disk or a server that does not answer."""


def recorded(
    wish: str,
    image_size: int,
    log: Log,
    *,
    look: Callable[..., WorkingSet] = record,
    most: float = MOST_SECONDS,
) -> bytes:
    """Return the working set of now as a section of an image, b"" if `wish` is OFF.

    What a snapshot of at most `image_size` bytes has no room for is swapped out in order then.
    A failure does not stop a hibernation: it is logged, and there is no working set. `look` finds
    what is in memory, within `most` seconds.
    """
    if wish == OFF:
        return b""
    look = partial(look, with_paths=wish != NO_PATHS, leave_out=[os.getpid()])
    try:
        words, _, section = _in_a_child(lambda: _record(look, image_size), most).partition(b"\0")
    except (OSError, ValueError) as error:
        log(f"no working set is recorded: {error}")
        return b""
    log(f"working set of {words.decode()}")
    return section


def _record(look: Callable[[], WorkingSet], image_size: int) -> bytes:
    """Return the words for a working set and, behind a zero, its section."""
    begun = time.monotonic()
    whole, section = fit(look())
    words = f"{whole} recorded in {time.monotonic() - begun:.1f} s"
    if wanted := to_page_out(image_size):
        begun = time.monotonic()
        done = page_out(whole.processes, wanted)
        words += f"; {done >> 20} MiB swapped out in order, in {time.monotonic() - begun:.1f} s"
    return words.encode() + b"\0" + section


def _in_a_child(work: Callable[[], bytes], most: float) -> bytes:
    """Return what `work` gives within `most` seconds; the memory that it takes is not ours.

    All of ours is locked before the snapshot, and has to fit beside it. Raises OSError, also for
    what `work` raises.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    if (pid := os.fork()) == 0:
        _give_and_exit(work, writing)
    os.close(writing)
    with open(reading, "rb", buffering=0) as pipe:
        given = _read_until(pipe, time.monotonic() + most)
    if given is None:
        os.killpg(pid, signal.SIGKILL)  # and not waited for: it may wait for a disk for ever
        raise OSError(f"it takes more than {most:.0f} s")
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0:
        raise OSError(given.decode() or "the process that records it has died")
    return given


def _read_until(pipe: RawIOBase, deadline: float) -> bytes | None:
    """Return all that comes through the pipe; None if its end has not come by the deadline."""
    given = bytearray()
    while select.select([pipe], [], [], max(deadline - time.monotonic(), 0))[0]:
        if not (part := pipe.read(1 << 20)):
            return bytes(given)
        given += part
    return None


def _give_and_exit(work: Callable[[], bytes], writing: int) -> NoReturn:
    status = 1
    try:
        os.setpgid(0, 0)
        with open(writing, "wb") as pipe:
            try:
                pipe.write(work())
                status = 0
            except (OSError, ValueError) as error:
                pipe.write(str(error).encode(errors="backslashreplace"))
    finally:
        os._exit(status)


def start_replay() -> None:
    """Start what brings back the working set that waits; returns at once. Raises OSError.

    Our service, anew if an older replay goes on; a process where there is no such service.
    """
    with suppress(OSError, subprocess.TimeoutExpired):
        start = ["systemctl", "restart", "--no-block", UNIT]
        if os.path.isdir(programs.SYSTEMD_RUNS) and not programs.run(start, _SECONDS).returncode:
            return
    _start_process()


def bring_back(section: bytes, log: Log, start: Callable[[], None] = start_replay) -> None:
    """Have the working set brought back in the background; returns at once."""
    if not section:
        return
    try:
        save_working_set(section)
        start()
    except (TorporError, OSError) as error:
        log(f"the working set is not brought back: {error}")


def _start_process() -> None:
    """Start a process of its own, which outlives this one and says how it went in the log."""
    # Else PyInstaller takes it for a part of this process, and looks for libraries as this one did.
    anew = {"PYINSTALLER_RESET_ENVIRONMENT": "1"}
    log = os.open(kmsg.PATH, os.O_WRONLY | os.O_CLOEXEC)
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
