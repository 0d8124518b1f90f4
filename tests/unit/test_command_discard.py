"""torpor discard --stale: what is discarded, what is kept, and when swap is turned on."""

import shlex
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from errors import ChangedError
from format.first_page import MARK_OFFSET
from format.mark import MarkState
from format.tables import GuardEntry
from guard import stale
from linux import programs
from state import boot, record
from state.boot import BootRecord
from state.record import HibernationRecord, Outcome
from store.header import new_store_header
from tests.command import Result, one_message
from tests.unit.conftest import SwapFile, Torpor
from tests.unit.marked import ROOT, Made, mark_of, put_image, set_mark
from torpor.commands import discard as command

PAGE = 4096
BOOT_PATH, LAST_PATH = boot.PATH, record.HIBERNATION_PATH


class Machine:
    """What the guard finds, and the programs that were run."""

    def __init__(self) -> None:
        self.changed = ""
        self.ran: list[list[str]] = []
        self.swapon = subprocess.CompletedProcess([""], 0, "", "")

    def compare(self, entries: list[GuardEntry], wait: Callable[[], bool]) -> None:
        assert entries == [ROOT]
        assert not wait(), "nothing is waited for"
        if self.changed:
            raise ChangedError(self.changed)

    def run(self, argv: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        self.ran.append([*argv])
        return self.swapon


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(stale, "compare", made.compare)
    monkeypatch.setattr(programs, "run", made.run)
    return made


@pytest.fixture
def swap(swap_file: SwapFile) -> Path:
    """Swap with an image that the resumer kept; its header without the image is beside it."""
    path = swap_file(100)
    path.with_name("header").write_bytes(path.read_bytes()[:PAGE])
    put_image(path, bytes(PAGE), [(5, 90)])
    keep(path)
    return path


def keep(path: Path, page: int = 0) -> None:
    BootRecord(1.0, 11, "other kernel", (str(path), page)).save()


def is_as_before(swap: Path) -> bool:
    return swap.read_bytes()[:PAGE] == swap.with_name("header").read_bytes()


Discard = Callable[..., Result]


@pytest.fixture
def discard(torpor: Torpor) -> Discard:
    return partial(torpor, "discard", "--stale")


@pytest.mark.parametrize("named", [False, True])
def test_changed_file_system_costs_the_image(
    named: bool, swap: Path, machine: Machine, discard: Discard
) -> None:
    machine.changed = "ext4 on /dev/vda, mounted at /, has changed"
    said = f"the image on {swap} is discarded: {machine.changed}\n"
    assert discard(*([swap] if named else [])) == Result(0, said, "")
    assert is_as_before(swap)
    assert machine.ran == [["swapon", "-a"]]
    assert discard() == Result(0, f"no image on {swap}: nothing to discard\n", "")
    assert len(machine.ran) == 1


def test_image_that_is_still_good_stays(swap: Path, machine: Machine, discard: Discard) -> None:
    before = swap.read_bytes()
    assert discard() == Result(0, f"the image on {swap} is still good: kept\n", "")
    assert swap.read_bytes() == before
    assert machine.ran == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": MarkState.CLAIMED, "attempts": 1}, "the power went"),
        ({"attempts": 2}, "the kernel refused it 2 times"),
        ({"state": MarkState.LOADING, "loads": 3}, "3 boots ended while they loaded it"),
    ],
)
def test_spent_image_goes(
    changes: dict[str, int], words: str, swap: Path, machine: Machine, discard: Discard
) -> None:
    mark = mark_of(swap)
    assert mark
    set_mark(swap, replace(mark, **changes))  # type: ignore[arg-type]
    said = discard()
    assert (said.code, words in said.out) == (0, True)
    assert is_as_before(swap)


def test_image_without_a_guard_goes(
    swap_file: SwapFile, machine: Machine, discard: Discard
) -> None:
    path = swap_file(100)
    put_image(path, bytes(PAGE), [(5, 90)], Made(guard=None))
    assert "does not say what it holds mounted" in discard(path).out
    assert mark_of(path) is None


def test_nothing_was_kept(machine: Machine, discard: Discard) -> None:
    nothing = Result(0, "this boot kept no image: nothing to discard\n", "")
    assert discard() == nothing
    BootRecord(1.0, 3, "no image").save()
    assert discard() == nothing


@pytest.mark.parametrize(
    ("outcome", "boot", "is_kept"),
    [
        (Outcome.BEGUN, "another boot", True),
        (Outcome.BEGUN, "this boot", False),
        (Outcome.RESUMED, "another boot", False),
        (Outcome.REFUSED, "another boot", False),
    ],
)
def test_later_boots_know_why(
    outcome: Outcome,
    boot: str,
    is_kept: bool,
    discard: Discard,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the resumer said is in /run: the next boot would have no word of it."""
    monkeypatch.setattr(command, "boot_id", lambda: "this boot")
    last = HibernationRecord(outcome, 1, 0, boot, "/dev/sda2", "uuid", 0, "")
    last.save()
    BootRecord(2.0, 10, "noresume").save()
    assert discard().code == 0
    told = replace(last, outcome=Outcome.REFUSED, ended=2, exit_code=10, message="noresume")
    assert HibernationRecord.read() == (told if is_kept else last)


def test_record_that_cannot_be_read_keeps_no_image(
    swap: Path, machine: Machine, discard: Discard
) -> None:
    Path(record.HIBERNATION_PATH).parent.mkdir(parents=True, exist_ok=True)
    Path(record.HIBERNATION_PATH).write_text("[", encoding="ascii")
    machine.changed = "it has changed"
    said = discard()
    assert (said.code, "is discarded" in said.out) == (0, True)
    assert "is not what torpor writes" in said.err
    assert is_as_before(swap)


def test_store_that_is_no_swap_turns_none_on(
    tmp_path: Path, machine: Machine, discard: Discard
) -> None:
    """It begins at a page of the device, as a file does."""
    path = tmp_path / "disk"
    path.write_bytes(bytes(100 * PAGE))
    with path.open("r+b") as file:
        new_store_header(file.fileno(), "it", 90, page=7)
    put_image(path, bytes(PAGE), [(8, 80)], page=7)
    keep(path, 7)
    machine.changed = "xfs has changed"
    assert discard().out == f"the image on {path} is discarded: xfs has changed\n"
    assert mark_of(path, 7) is None
    assert machine.ran == []


def test_swap_that_does_not_work_is_only_said(
    swap: Path, machine: Machine, discard: Discard
) -> None:
    machine.changed = "changed"
    machine.swapon = subprocess.CompletedProcess([""], 255, "", "swapon: /dev/x: not found\n")
    said = discard()
    assert (said.code, said.err) == (0, "torpor: swapon -a: swapon: /dev/x: not found\n")


def test_damaged_image_goes(swap: Path, machine: Machine, discard: Discard) -> None:
    with swap.open("r+b") as file:
        file.seek(5 * PAGE + 100)
        file.write(b"\xff" * 9)
    assert "superblock has a wrong checksum" in discard().out
    assert is_as_before(swap)


def test_image_that_cannot_be_judged_stays(swap: Path, machine: Machine, discard: Discard) -> None:
    """A newer Torpor made it, or its device cannot be read."""
    with swap.open("r+b") as file:
        file.seek(MARK_OFFSET + 8)
        file.write(b"\x02")
    before = swap.read_bytes()
    said = discard()
    assert (said.code, one_message(said.err)) == (5, True)
    assert swap.read_bytes() == before
    keep(Path("/nonexistent"))
    assert discard().code == 6


@pytest.mark.parametrize(
    ("code", "outcome", "runs"),
    [(3, None, False), (3, Outcome.RESUMED, False), (3, Outcome.BEGUN, True), (11, None, True)],
)
def test_the_unit_runs_only_after_a_boot_that_had_an_image_or_should_have_had(
    code: int, outcome: Outcome | None, runs: bool
) -> None:
    """Most boots have none, and the command takes half a second to start."""
    unit = Path(__file__).parents[2] / "package/files/torpor-stale.service"
    lines = unit.read_text().replace("\\\n", "").splitlines()
    assert f"ConditionPathExists={BOOT_PATH}" in lines
    assert "ExecStart=/usr/bin/torpor discard --stale" in lines
    assert "After=local-fs.target" in lines
    BootRecord(1, code, "x").save()
    if outcome:
        HibernationRecord(outcome, 1, 0, "boot", "/dev/sda2", "uuid", 0, "").save()
    (condition,) = [line for line in lines if line.startswith("ExecCondition=")]
    for path, here in ((BOOT_PATH, boot.PATH), (LAST_PATH, record.HIBERNATION_PATH)):
        condition = condition.replace(path, here)
    done = subprocess.run(shlex.split(condition.partition("=")[2]), check=False)
    assert (done.returncode == 0) == runs
