"""A hibernation that fails late leaves a machine that goes on, and a disk as it was."""

import re
import time
from pathlib import Path

import pytest

from tests.tools import wait_until
from tests.vm.conftest import LIMIT_SECONDS, Nursery, throttle
from tests.vm.cuts import check_goes_on
from tests.vm.image import has_mark_bytes, is_marked
from vm.disks import blank_disk, ext4_complaints, swap_disk
from vm.machine import Result, RunningMachine

pytestmark = pytest.mark.vm


@pytest.fixture(scope="module")
def failed(nursery: Nursery) -> tuple[Result, Path]:
    """A machine that failed to hibernate three times, and its root disk."""
    folder = nursery.folder("failures")
    disks = [folder / "swap.img", blank_disk(folder / "third.img", 16)]
    append = f"resume=UUID={swap_disk(disks[0], 512)} scenario=failures"
    machine = nursery.machine("failures", "6.1", append, *disks)
    with machine.start(LIMIT_SECONDS) as running:
        running.wait_report("alive-power-off")
        kill_once_marked(running, disks[0])
        running.wait_report("alive-killed")
        result = running.wait()
    assert not is_marked(disks[0])
    return result, machine.disks[0]


def kill_once_marked(running: RunningMachine, disk: Path) -> None:
    r"""Type Control-\\ when the mark is on the disk and its signature on the way there.

    The writer reads the image back slowly, so that there is time to make the disk take a page in
    four seconds. It waits for that one when the key comes, and dies when the page is on the disk.
    """
    running.wait_console(r"(?s)(torpor: snapshot of .*?){2}")
    throttle(running, bps_rd=8 << 20)
    running.wait_console(r"(?s)(MiB stored as .*?){2}")
    throttle(running, bps_rd=8 << 20, bps_wr=1024)
    running.wait_console(r"(?s)(torpor: marking.*?){2}")
    wait_until(lambda: has_mark_bytes(disk), "the mark")
    time.sleep(1)
    running.send(b"\x1c")
    wait_until(lambda: is_marked(disk), "the signature")
    running.wait_console(r"(?s)(torpor: mark cleared.*?){2}")
    throttle(running)


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("power-off", "13", "does_not_power_off"),
        ("killed", "131", ""),
        ("stuck", "13", r"cannot_be_frozen:_cp_\(process_\d+\)"),
    ],
)
def test_machine_goes_on_as_it_was(
    name: str, code: str, said: str, failed: tuple[Result, Path]
) -> None:
    result, _ = failed
    told = check_goes_on(result.report, name)
    assert told["exit"] == code
    assert re.search(said, told["said"])


def test_the_kernel_log_has_each_phase(failed: tuple[Result, Path]) -> None:
    """Of the power-off that returns; and what did not stop."""
    result, _ = failed
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
    assert "torpor: tasks have not stopped in /stuck" in result.console


def test_nothing_is_left_on_the_disks(failed: tuple[Result, Path]) -> None:
    """Tasks stop before the disks are synced."""
    result, root = failed
    assert result.told("keeper-was-frozen") == "1"
    assert result.told("swapoff") == "0"
    assert result.status == 0
    assert ext4_complaints(root) == ""
