"""A disk that stops answering while the machine is frozen: it goes on, or restarts."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import ENDED
from tests.vm.conftest import LIMIT_SECONDS, MEMORY_WITHOUT_SWAP_MIB, Boot, Nursery, Recorder
from tests.vm.cuts import check_goes_on, words
from vm.disks import ext4_complaints, file_system_disk, swap_disk
from vm.machine import Machine, RunningMachine

pytestmark = pytest.mark.vm

OFF_SECONDS = 90.0
STORE, OTHER = "virtio1", "virtio2"
RESUME = "resume=/dev/vdb"


def stop_answering(running: RunningMachine, device: str, *, for_hours: bool) -> None:
    """Have a disk take a write and then none for hours, or all of them again."""
    limits = dict.fromkeys(("bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr"), 0)
    limits["bps_wr"] = int(for_hours)
    running.monitor("block_set_io_throttle", device=device, **limits)


def machine_with(phase: str, nursery: Nursery) -> Machine:
    """Return a machine that is off, whose kernel swaps out only what it is asked to."""
    folder = nursery.folder(f"stall-{phase}")
    disks = [folder / "swap.img", file_system_disk(folder / "other.img", "ext4")]
    swap_disk(disks[0], 512)
    append = f"{RESUME} scenario=stalls stalls={phase}"
    machine = nursery.machine(folder.name, "6.1", append, *disks)
    return replace(machine, memory=MEMORY_WITHOUT_SWAP_MIB)


@pytest.mark.parametrize(
    ("phase", "device"),
    [("freezing", OTHER), pytest.param("writing", STORE, marks=pytest.mark.long)],
)
def test_the_machine_goes_on(
    phase: str, device: str, nursery: Nursery, record_property: Recorder
) -> None:
    """Though the writer hangs, which undoes the rest once the disk answers."""
    machine = machine_with(phase, nursery)
    with machine.start(LIMIT_SECONDS) as running:
        running.wait_report(f"^armed={phase}$")
        stop_answering(running, device, for_hours=True)
        running.wait_report(f"^early-{phase} ")
        stop_answering(running, device, for_hours=False)
        result = running.wait()
    told = check_goes_on(result.report, phase)
    assert told["exit"] == "13", told["said"]
    assert re.search("so_the_machine_went_on", told["said"])
    assert result.told("swapoff") == "0"
    assert result.status == 0
    assert ext4_complaints(machine.disks[0]) == ""
    record_property(ENDED, (f"{phase}: a disk stops answering", "swap", "-", "goes on"))


@pytest.mark.long
def test_the_machine_restarts(
    nursery: Nursery, boot: Boot, tmp_path: Path, record_property: Recorder
) -> None:
    """The kernel itself waits for the disk, to make room for the snapshot: it cannot be thawed."""
    machine = machine_with("snapshot", nursery)
    with machine.start(LIMIT_SECONDS) as running:
        running.wait_report("^armed=snapshot$")
        stop_answering(running, STORE, for_hours=True)
        running.wait_console("nothing has got on for 10 s")
        assert running.is_off_within(OFF_SECONDS)
    assert "the machine restarts" in running.console
    result = boot(replace(machine, append=f"{RESUME} scenario=cold", log=tmp_path / "next.log"))
    assert words(result.report, "resumer-exit ")["code"] == "3"
    assert result.told("status") == "0"
    assert ext4_complaints(machine.disks[0]) == ""
    record_property(ENDED, ("snapshot: a disk stops answering", "swap", "-", "restarts, cold"))
