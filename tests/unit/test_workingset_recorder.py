"""The process that records the working set beside a hibernation."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from format.working_set import ProcessMemory, WorkingSet
from linux import tasks
from state.conf import NO_PATHS, ON
from tests.tools import failing, wait_until
from tests.unit.cached_files import LONG_ENOUGH
from tests.unit.hibernating import no_working_set
from tests.unit.test_linux_memory import sleeper
from workingset import recorder
from workingset.recorder import Recorder

ENOUGH = 1 << 50
"""Bytes of an image that has room for everything."""


@pytest.mark.usefixtures("cached")
def test_what_a_hibernation_records() -> None:
    said: list[str] = []
    with no_working_set() as nothing:
        assert nothing.finish() == b""
        nothing.swap_out()
    found = []
    for wish in (ON, NO_PATHS):
        with Recorder(wish, ENOUGH, said.append, most=LONG_ENOUGH) as working_set:
            assert working_set.section == b""
            found.append(working_set.finish())
            working_set.swap_out()
        assert working_set.section == working_set.finish() == found[-1], "for another attempt"
    with_paths, without = found
    assert with_paths[0] & 1 == 0
    assert without[0] & 1 == 1
    assert len(said) == 2
    assert all(line.startswith("working set of ") for line in said)


@pytest.mark.usefixtures("cached")
def test_the_command_is_not_recorded() -> None:
    """It is gone when the replay begins."""
    recording = partial(Recorder, ON, ENOUGH, print, limit=LONG_ENOUGH, most=2 * LONG_ENOUGH)
    with sleeper() as (pid, _private, _shared), recording() as working_set:
        whole = WorkingSet.parse(working_set.finish())
    pids = {process.pid for process in whole.processes}
    assert pid in pids
    assert os.getpid() not in pids


@pytest.mark.usefixtures("cached")
def test_nothing_is_swapped_out_before_all_is_recorded_and_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = tmp_path / "asked"

    def page_out(_processes: list[ProcessMemory], wanted: int) -> int:
        asked.touch()
        return wanted

    monkeypatch.setattr("workingset.page_out.page_out", page_out)
    monkeypatch.setattr("workingset.page_out.to_page_out", lambda _size: 5 << 20)
    said: list[str] = []
    with Recorder(ON, 0, said.append, most=LONG_ENOUGH):
        time.sleep(0.2)
    assert (asked.exists(), said) == (False, []), "a hibernation that was refused"
    with Recorder(ON, 0, said.append, most=LONG_ENOUGH) as working_set:
        assert working_set.finish()
        working_set.swap_out()
    assert asked.exists()
    assert said[1].startswith("5 MiB swapped out in order, in ")


def killed(**_: object) -> WorkingSet:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@pytest.mark.parametrize(
    ("look", "reason"),
    [
        (failing(PermissionError(1, "not allowed")), "[Errno 1] not allowed"),
        (killed, "the process that does it has died"),
        (failing(KeyError("nobody foresaw it")), "the process that does it has died"),
    ],
)
def test_trouble_is_no_reason_not_to_hibernate(
    look: Callable[..., WorkingSet], reason: str
) -> None:
    said: list[str] = []
    with Recorder(ON, ENOUGH, said.append, look=look) as working_set:
        assert working_set.finish() == b""
        working_set.swap_out()
    assert said == [f"no working set is recorded: {reason}"]


def is_running(command: bytes) -> bool:
    for pid in tasks.pids():
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes() == command:
                return True
    return False


@pytest.mark.parametrize("is_awaited", [True, False])
def test_recording_that_hangs_is_given_up(*, is_awaited: bool) -> None:
    """With all its processes, which may wait for a disk that does not answer."""

    def hang(**_: object) -> WorkingSet:
        subprocess.run(["sleep", "73"], check=True)
        raise AssertionError("it was not given up")

    said: list[str] = []
    with Recorder(ON, ENOUGH, said.append, look=hang, most=0.5) as working_set:
        wait_until(lambda: is_running(b"sleep\x0073\0"))
        if is_awaited:
            assert working_set.finish() == b""
    assert said == ["no working set is recorded: it takes more than 0 s"] * is_awaited
    wait_until(lambda: not is_running(b"sleep\x0073\0"))


def test_time_that_nobody_waits_for_it_is_not_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow machine the rest of the start takes longer, and takes its processors."""
    said: list[str] = []

    def look(*, limit: float, **_: object) -> WorkingSet:
        raise OSError(f"{limit:.1f}")

    monkeypatch.setattr(
        recorder, "time", SimpleNamespace(process_time=lambda: 1.5, monotonic=time.monotonic)
    )
    with Recorder(ON, ENOUGH, said.append, look=look, limit=2.0) as working_set:
        working_set.finish()
    assert said == ["no working set is recorded: 3.5"]
