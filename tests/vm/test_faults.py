"""Devices that fail, signals at any moment, a hibernation that fails late: the machine goes on.

As it was, with its disk as it was; or it boots again.
"""

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.conftest import ENDED
from tests.tools import wait_until
from tests.vm.conftest import (
    LIMIT_SECONDS,
    MEMORY_WITHOUT_SWAP_MIB,
    SWAP_MIB,
    Boot,
    Nest,
    Nursery,
    Recorder,
    copied,
    throttle,
)
from tests.vm.cuts import check_continues, check_goes_on, words
from tests.vm.image import has_mark_bytes, is_marked
from vm.disks import MIB, blank_disk, ext4_complaints, swap_disk, write_partition
from vm.machine import Machine, MachineError, Result, RunningMachine

pytestmark = pytest.mark.vm

KILL, TERM = 9, 15
SECTORS = (SWAP_MIB - 1) * MIB // 512
GOOD = f"0,{SECTORS},linear,/dev/vdb,2048"
START = MIB
STORE = "resume=/dev/mapper/store"
OFF_SECONDS = 10.0


@pytest.fixture(scope="session")
def with_dm(nursery: Nursery) -> Machine:
    """A machine whose initramfs makes /dev/mapper/store of what dm= says, and sends signals.

    Nothing of its memory is ever in swap: to forget that would be the death of init.
    """
    folder = nursery.folder("dm")
    disks = [blank_disk(folder / "store.img", SWAP_MIB), blank_disk(folder / "small.img", 34)]
    modules, early = ("dm_mod", "dm_flakey"), ("dm.sh", "strike.sh")
    machine = nursery.machine("dm", "6.1", STORE, *disks, modules=modules, early=early)
    return replace(machine, memory=MEMORY_WITHOUT_SWAP_MIB)


@pytest.fixture(scope="session")
def failing(with_dm: Machine, nursery: Nursery) -> Nest:
    """A machine with a store on a device of dm, and how one with faults in it fared."""
    machine = copied(with_dm, nursery.folder("failing"), "noresume scenario=faults")
    return Nest(machine, machine.run(LIMIT_SECONDS))


@pytest.mark.parametrize(
    ("fault", "code", "message"),
    [
        ("part-gives-errors", 6, "cannot_write_/dev/mapper/store_.*_input/output_error"),
        ("writes-give-errors", 6, "cannot_write_/dev/mapper/store_.*_input/output_error"),
        ("writes-are-dropped", 4, "/dev/mapper/store_does_not_give_back_what_was_written"),
        ("writes-are-changed", 4, "/dev/mapper/store_does_not_give_back_what_was_written"),
        ("no-room", 9, "even_the_smallest_image_does_not_fit"),
    ],
)
def test_device_fails_while_saving(
    fault: str, code: int, message: str, failing: Nest, record_property: Recorder
) -> None:
    told = check_goes_on(failing.first.report, fault)
    assert told["exit"] == str(code), told["said"]
    assert re.search(message, told["said"])
    record_property(ENDED, (f"saving: {fault}", "swap", "-", f"exit code {code}, goes on"))


def test_nothing_was_written_without_a_word(
    failing: Nest, boot: Boot, tmp_path: Path, record_property: Recorder
) -> None:
    """A device that forgets all writes takes an image, too: the next boot is cold, and clean."""
    assert failing.first.told("swapoff") == "0"
    assert "unverified" in failing.first.report
    assert failing.first.status is None
    machine = copied(failing.machine, tmp_path, f"{STORE} dm={GOOD} scenario=cold")
    result = boot(machine)
    assert "code=3" in next(line for line in result.report if "resumer-exit" in line)
    assert result.told("status") == "0"
    assert ext4_complaints(machine.disks[0]) == ""
    record_property(ENDED, ("saving: writes-are-dropped", "swap", "not verified", "cold boot"))


@pytest.fixture(scope="session")
def on_dm(with_dm: Machine, nursery: Nursery) -> Nest:
    """A machine that hibernated to the store on dm."""
    folder = nursery.folder("on-dm")
    machine = copied(with_dm, folder, f"{STORE} dm={GOOD}")
    start_swap(machine.disks[1], folder)
    return nursery.first_life(machine, "demo")


def start_swap(disk: Path, folder: Path) -> None:
    """Make what the device of dm shows a swap area."""
    area = folder / "area.img"
    swap_disk(area, SWAP_MIB - 1)
    with disk.open("r+b") as file:
        file.seek(START)
        file.write(area.read_bytes()[:MIB])
    area.unlink()


ERROR = f"0,65536,linear,/dev/vdb,2048+65536,{SECTORS - 65536},error"
FLAKY = f"0,{SECTORS},flakey,/dev/vdb,2048,1,1"


@pytest.mark.long
@pytest.mark.parametrize(
    ("fault", "appended", "codes"),
    [
        ("part gives errors", f"dm={ERROR}", {6}),
        ("errors every other second", f"dm={FLAKY}", None),
        ("SIGTERM", f"dm={GOOD} strike=TERM", {143}),
        ("SIGKILL", f"dm={GOOD} strike=KILL", {137}),
    ],
)
def test_fault_while_loading(
    fault: str,
    appended: str,
    codes: set[int] | None,
    on_dm: Nest,
    boot: Boot,
    tmp_path: Path,
    record_property: Recorder,
) -> None:
    """The boot goes on cold with a code; the next one, with a device that works, is cold, too."""
    append = f"{STORE} scenario=cold"
    machine = replace(on_dm.copy(tmp_path / "machine"), append=f"{append} {appended}")
    results = [
        boot(machine),
        boot(replace(machine, append=f"{append} dm={GOOD}", log=tmp_path / "next.log")),
    ]
    restored = [any(line.startswith("after ") for line in r.report) for r in results]
    assert sum(restored) <= 1
    assert not restored[1], "a boot went on before this one"
    assert all(result.told("status") == "0" for result in results)
    assert ext4_complaints(machine.disks[0]) == ""
    if codes is None and restored[0]:
        check_continues(on_dm.first, results[0])
        ended = "resumed, with nonce"
    else:
        (code,) = (words(results[0].report, "resumer-exit ")["code"],)
        assert codes is None or int(code) in codes
        ended = f"exit code {code}, cold boot"
    record_property(ENDED, (f"loading: {fault}", "swap", "-", ended))


PHASES = (
    "freezing tasks",
    "syncing",
    "freezing everything",
    "taking the snapshot",
    "snapshot of",
    "stored as",
    "marking",
)
"""Words of the lines that the writer leaves in the kernel log, in this order."""


@dataclass(slots=True)
class Struck:
    """A machine that hibernates again and again, and gets a signal each time."""

    machine: Machine
    boots: int = 0

    def power_on(self) -> RunningMachine:
        """Boot, or resume."""
        self.boots += 1
        log = self.machine.log.with_name(f"boot{self.boots}.log")
        return replace(self.machine, log=log).start(LIMIT_SECONDS)

    def strike_at_each(self, phases: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield each phase and what the machine told afterwards; resume one that went off."""
        running = self.power_on()
        reports: list[str] = []
        try:
            for attempt, phase in enumerate(phases, start=1):
                strike(running, phase, attempt)
                ended = f"^(ended={attempt} .*|off .*)$"
                while not re.search(ended, "\n".join(running.report), re.MULTILINE):
                    if running.is_off_within(0.1):
                        assert is_marked(self.machine.disks[1]), running.console[-3000:]
                        reports += running.report
                        running = self.power_on()
                running.wait_report(f"^alive-{attempt} .*$")
                assert not is_marked(self.machine.disks[1])
                yield phase, check_goes_on([*reports, *running.report], str(attempt))
            result = running.wait()
        finally:
            running.kill()
        assert result.told("swapoff") == "0"
        assert result.status == 0


def strike(running: RunningMachine, phase: str, attempt: int) -> None:
    """Type a line when the writer has announced the phase, and give it no time to end it.

    Where the host is too slow for that, the machine has hibernated meanwhile.
    """
    before = len(running.console)
    running.wait_report(f"^armed={attempt}$")
    limits = {"bps_rd": 16 << 20, "bps_wr": 16 << 20}
    if phase == "marking":
        wait_for_line(running, "stored as", before)
        limits["bps_wr"] = 2048
    try:
        throttle(running, **limits)
        wait_for_line(running, phase, before)
        running.send(b"\n")
        throttle(running)
    except MachineError:
        if not running.is_off_within(OFF_SECONDS):
            raise


def wait_for_line(running: RunningMachine, phase: str, before: int) -> None:
    """Wait for the phase to be announced behind so many characters of the console."""
    running.wait_console(rf"(?s)\A.{{{before}}}.*torpor: [^\n]*{phase}")


@pytest.mark.parametrize(
    ("signal", "phases"),
    [
        pytest.param(KILL, ("freezing everything", "marking"), id="kill"),
        pytest.param(KILL, PHASES, id="kill-at-each-phase", marks=pytest.mark.long),
        pytest.param(TERM, PHASES, id="term-at-each-phase", marks=pytest.mark.long),
    ],
)
def test_signal_while_saving(
    signal: int, phases: Sequence[str], nursery: Nursery, record_property: Recorder
) -> None:
    """It ends the hibernation, or comes too late: then the machine hibernates, and resumes."""
    folder = nursery.folder(f"signal{signal}-{len(phases)}")
    disk = folder / "swap.img"
    name = swap_disk(disk, SWAP_MIB)
    signals = ",".join([str(signal)] * len(phases))
    append = f"resume=UUID={name} scenario=signals signals={signals}"
    machine = nursery.machine(folder.name, "6.1", append, disk)
    for phase, told in Struck(machine).strike_at_each(phases):
        ended = {"137": "killed, goes on", "14": "exit code 14, goes on", "0": "resumed"}
        assert told["exit"] in ended
        assert told["exit"] != ("14" if signal == KILL else "137")
        record_property(ENDED, (f"saving: signal {signal}", "swap", phase, ended[told["exit"]]))
    assert ext4_complaints(machine.disks[0]) == ""


@pytest.fixture(scope="module")
def failed(nursery: Nursery) -> tuple[Result, Path]:
    """A machine that failed to hibernate several times, and its root disk."""
    folder = nursery.folder("failures")
    disks = [folder / "swap.img", blank_disk(folder / "third.img", 16)]
    append = f"resume=UUID={swap_disk(disks[0], 512)} scenario=failures"
    write_partition(disks[1], MIB, 8 * MIB)
    modules = ("overlay", "dm_mod", "nvmet", "target_core_file")
    machine = nursery.machine("failures", "6.1", append, *disks, modules=modules)
    with machine.start(LIMIT_SECONDS) as running:
        running.wait_report("alive-power-off")
        kill_once_marked(running, disks[0])
        running.wait_report("alive-killed")
        result = running.wait()
    assert not is_marked(disks[0])
    assert "partition=1" in " ".join(result.report), "what was used whole had none"
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
        ("lazily", "13", "/dev/vdc_is_in_use,_but_its_ext4_is_mounted_where_nobody_sees_it"),
        ("below-overlay", "13", "/dev/vdc_is_in_use,_but_its_ext4_is_mounted_where_nobody_sees_it"),
        ("written", "13", r"_sleep_\(process_\d+\)_has_/dev/vdc_open_for_writing:"),
        ("shared-nvme", "13", "the_kernel's_NVMe_target_serves_/dev/vdc_to_other_machines"),
        ("shared-scsi", "13", "the_kernel's_SCSI_target_serves_/dev/vdc_to_other_machines"),
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
