"""A hibernation that fails late leaves a machine that goes on, and a disk as it was."""

import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.vm.conftest import LIMIT_SECONDS, Nursery
from tests.vm.image import has_mark_bytes, is_marked
from tests.vm.test_hibernation import throttle
from vm.disks import blank_disk, ext4_complaints, swap_disk
from vm.machine import Result, RunningMachine

pytestmark = pytest.mark.vm


@pytest.fixture(scope="module")
def failed(nursery: Nursery) -> tuple[Result, Path]:
    """A machine that failed to hibernate three times, and its root disk."""
    folder = nursery.folder("failures")
    disk = folder / "swap.img"
    machine = nursery.machine("failures", "6.1", f"UUID={swap_disk(disk, 512)}", disk)
    third = blank_disk(folder / "third.img", 16)
    machine = replace(
        machine, disks=[*machine.disks, third], append=f"{machine.append} scenario=failures"
    )
    with machine.start(LIMIT_SECONDS) as running:
        running.wait_report("alive-power-off")
        kill_once_marked(running, disk)
        running.wait_report("alive-killed")
        result = running.wait()
    assert not is_marked(disk)
    return result, Path(machine.disks[0])


def kill_once_marked(running: RunningMachine, disk: Path) -> None:
    r"""Type Control-\\ when the mark is on the disk and its signature on the way there.

    The writer reads the image back slowly, so that there is time to make the disk take a page in
    four seconds. It waits for that one when the key comes, and dies when the page is on the disk.
    """
    running.wait_console(r"(?s)(torpor: snapshot of .*?){2}")
    running.monitor("block_set_io_throttle", **(throttle("virtio1", 0) | {"bps_rd": 8 << 20}))
    running.wait_console(r"(?s)(MiB stored as .*?){2}")
    limits = throttle("virtio1", 1024) | {"bps_rd": 8 << 20}
    running.monitor("block_set_io_throttle", **limits)
    running.wait_console(r"(?s)(torpor: marking.*?){2}")
    wait_until(lambda: has_mark_bytes(disk), "the mark")
    time.sleep(1)
    running.send(b"\x1c")
    wait_until(lambda: is_marked(disk), "the signature")
    running.wait_console(r"(?s)(torpor: mark cleared.*?){2}")
    running.monitor("block_set_io_throttle", **throttle("virtio1", 0))


def wait_until(is_there: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not is_there():
        assert time.monotonic() < deadline, f"{what} was never on the disk"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("name", "code"),
    [("power-off", "13"), ("killed", "131"), ("stuck", "13")],
)
def test_machine_goes_on_as_it_was(name: str, code: str, failed: tuple[Result, Path]) -> None:
    result, _ = failed
    assert result.told(f"exit-{name}") == code
    assert result.told(f"header-differs-{name}") == "0"
    assert result.told(f"frozen-{name}") == "0"
    assert result.told(f"written-{name}") == name
    before, alive = (
        next(line for line in result.report if line.startswith(event))
        for event in ("before", f"alive-{name}")
    )
    for key in ("nonce", "boot_id", "data"):
        pattern = rf"{key}=(\S+)"
        assert re.findall(pattern, before) == re.findall(pattern, alive) != []
    counters = [int(re.findall(r"counter=(\d+)", line)[0]) for line in (before, alive)]
    assert counters[1] > counters[0]


def test_power_off_that_returns_is_told(failed: tuple[Result, Path]) -> None:
    result, _ = failed
    assert "does_not_power_off" in (result.told("said-power-off") or "")
    phases = (
        "freezing tasks",
        "syncing",
        "freezing everything",
        "taking the snapshot",
        r"snapshot of \d+ MiB taken, writing it to /dev/vdb",
        r"\d+ MiB stored as",
        "marking",
        "marked, powering off",
        "mark cleared",
    )
    assert re.search("(?s)" + ".*?".join(f"torpor: {phase}" for phase in phases), result.console)


def test_task_that_does_not_freeze_is_named(failed: tuple[Result, Path]) -> None:
    result, _ = failed
    assert re.search(r"cannot_be_frozen:_cp_\(process_\d+\)", result.told("said-stuck") or "")
    assert "torpor: not all has stopped in /stuck" in result.console


def test_tasks_stop_before_the_disks_are_synced(failed: tuple[Result, Path]) -> None:
    result, _ = failed
    assert result.told("keeper-was-frozen") == "1"


def test_nothing_is_left_on_the_disks(failed: tuple[Result, Path]) -> None:
    result, root = failed
    assert result.told("swapoff") == "0"
    assert result.status == 0
    assert ext4_complaints(root) == ""
