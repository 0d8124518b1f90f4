"""torpor status, the printing of torpor doctor, and torpor discard --stale."""

import json
import shlex
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from errors import ChangedError, NotReadyError
from format.first_page import MARK_OFFSET
from format.mark import MarkState
from format.tables import GuardEntry
from guard import stale
from linux import programs
from seal import pending
from state import boot, record
from state.boot import BootRecord
from state.record import HibernationRecord, Outcome
from store.header import new_store_header
from tests.forge import PAGE
from tests.tools import Result, one_message
from tests.unit.conftest import SwapFile, Torpor
from tests.unit.marked import ROOT, Made, mark_of, put_image, set_mark
from torpor.commands import discard, status
from torpor.commands.doctor import report
from torpor.doctor.finding import Finding, ok, problem, warning

HERE, ELSEWHERE = "this-boot", "another-boot"
BEGUN = HibernationRecord(Outcome.BEGUN, 1000, 0, HERE, "/dev/sda2", "uuid", 0, "")


@pytest.fixture(autouse=True)
def _this_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    for command in (discard, status):
        monkeypatch.setattr(command, "boot_id", lambda: HERE)


HEAD = "last hibernation: 1970-01-01 00:16:40 UTC"
TO = f"{HEAD} to /dev/sda2"
LATER = "1970-01-01 00:33:20 UTC"
BOOT = f"this boot, {LATER}, did not resume:"
FAILED = BEGUN._replace(outcome=Outcome.FAILED, ended=1007, message="no room", exit_code=9)
REFUSED = BEGUN._replace(
    outcome=Outcome.REFUSED, boot_id=ELSEWHERE, ended=2000, message="noresume", exit_code=10
)
RESUMED = BEGUN._replace(outcome=Outcome.RESUMED, ended=4600)
NOT_YET = BEGUN._replace(boot_id=ELSEWHERE)
ON = f"{TO}, resumed 1970-01-01 01:16:40 UTC"
NOTHING = BootRecord(2000, 3, "no image")
UNTOLD = "this boot did not resume, and its initramfs does not say why: run torpor doctor"


@pytest.mark.parametrize(
    ("last", "boot", "expected"),
    [
        (None, None, ["no hibernation recorded"]),
        (None, BootRecord(2000, 7, "no disk"), ["no hibernation recorded", f"{BOOT} no disk"]),
        (RESUMED, None, [ON]),
        (RESUMED._replace(downtime=3599), None, [f"{ON}, after a downtime of 60.0 min"]),
        (
            RESUMED._replace(sealing="tpm2, passphrase"),
            None,
            [f"{TO}, sealed for tpm2, passphrase, resumed 1970-01-01 01:16:40 UTC"],
        ),
        (FAILED, None, [f"{TO}, failed after 7 s: no room (exit code 9)"]),
        (
            FAILED._replace(downtime=5.25),
            None,
            [f"{TO}, failed after 7 s, 5.2 s of it frozen: no room (exit code 9)"],
        ),
        (FAILED._replace(store=""), None, [f"{HEAD}, failed after 7 s: no room (exit code 9)"]),
        (BEGUN, None, [f"{TO}, not finished: it is under way, or was killed"]),
        (NOT_YET, BootRecord(2000, 4, "damaged"), [f"{TO}, not resumed", f"{BOOT} damaged"]),
        (NOT_YET, None, [f"{TO}, not resumed", UNTOLD]),
        (REFUSED, BootRecord(2000, 10, "noresume"), [f"{TO}, not resumed", f"{BOOT} noresume"]),
        (REFUSED, None, [f"{TO}, not resumed by the boot of {LATER}: noresume"]),
        (None, NOTHING, ["no hibernation recorded"]),
        (RESUMED, NOTHING, [ON]),
        (NOT_YET, NOTHING, [f"{TO}, not resumed", f"{BOOT} no image"]),
        (REFUSED._replace(exit_code=3), NOTHING, [f"{TO}, not resumed", f"{BOOT} no image"]),
        (
            REFUSED,
            BootRecord(3000, 7, "no disk"),
            [
                f"{TO}, not resumed by the boot of {LATER}: noresume",
                "this boot, 1970-01-01 00:50:00 UTC, did not resume: no disk",
            ],
        ),
    ],
)
def test_status(
    last: HibernationRecord | None, boot: BootRecord | None, expected: list[str], torpor: Torpor
) -> None:
    if last:
        last.save()
    if boot:
        boot.save()
    assert torpor("status").out.splitlines() == expected


def test_status_for_a_script(torpor: Torpor) -> None:
    nothing = {"hibernation": None, "boot": None, "replay": None, "boot_id": HERE}
    assert json.loads(torpor("status", "--json").out) == nothing
    BEGUN._replace(sealing="tpm2").save()
    BootRecord(2000, 7, "not there", ("/dev/sda2", 7)).save()
    told = json.loads(torpor("status", "--json").out)
    assert told["hibernation"]["outcome"] == "begun"
    assert told["hibernation"]["downtime"] == 0
    assert told["hibernation"]["sealing"] == "tpm2"
    kept = [{"device": "/dev/sda2", "page": 7}]
    assert told["boot"] == {"when": 2000, "exit_code": 7, "message": "not there", "kept": kept}


def test_status_of_damaged_records(torpor: Torpor) -> None:
    BEGUN.save()
    Path(record.HIBERNATION_PATH).write_text("[")
    said = torpor("status")
    assert (said.code, "is not what torpor writes" in said.err) == (21, True)


FINDINGS = [ok("all right"), warning("perhaps", "wait"), problem("no", "do this")]


def test_findings_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NotReadyError, match=r"not ready to hibernate: 1 problem$"):
        report(FINDINGS, as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "ok       all right",
        "warning  perhaps",
        "           wait",
        "PROBLEM  no",
        "           do this",
    ]


def test_findings_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NotReadyError, match="2 problems"):
        report([*FINDINGS, Finding(problem("", "").level, "more", "")], as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found[1] == {"level": "warning", "message": "perhaps", "remedy": "wait"}
    assert [one["level"] for one in found] == ["ok", "warning", "problem", "problem"]


def test_warnings_alone_are_no_failure() -> None:
    report(FINDINGS[:2], as_json=False)


BOOT_PATH, LAST_PATH, PENDING_PATH = boot.PATH, record.HIBERNATION_PATH, pending.PATH


class Machine:
    """What the guard finds, the programs that were run, and `torpor discard --stale` on it."""

    def __init__(self, torpor: Torpor) -> None:
        self.discard = partial(torpor, "discard", "--stale")
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
def machine(monkeypatch: pytest.MonkeyPatch, torpor: Torpor) -> Machine:
    made = Machine(torpor)
    monkeypatch.setattr(stale, "compare", made.compare)
    monkeypatch.setattr(programs, "run", made.run)
    return made


@pytest.fixture
def swap(hibernated: Path) -> Path:
    """Swap with an image that the resumer kept."""
    keep(hibernated)
    return hibernated


def keep(path: Path, page: int = 0) -> None:
    BootRecord(1.0, 11, "other kernel", (str(path), page)).save()


def is_as_before(swap: Path) -> bool:
    return swap.read_bytes()[:PAGE] == swap.with_name("header").read_bytes()


@pytest.mark.parametrize("named", [False, True])
def test_changed_file_system_costs_the_image(named: bool, swap: Path, machine: Machine) -> None:
    machine.changed = "ext4 on /dev/vda, mounted at /, has changed"
    said = f"the image on {swap} is discarded: {machine.changed}\n"
    assert machine.discard(*([swap] if named else [])) == Result(0, said, "")
    assert is_as_before(swap)
    assert machine.ran == [["swapon", "-a"]]
    assert machine.discard() == Result(0, f"no image on {swap}: nothing to discard\n", "")
    assert len(machine.ran) == 1


def test_image_that_is_still_good_stays(swap: Path, machine: Machine) -> None:
    before = swap.read_bytes()
    assert machine.discard() == Result(0, f"the image on {swap} is still good: kept\n", "")
    assert swap.read_bytes() == before
    assert machine.ran == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": MarkState.CLAIMED, "attempts": 1}, "power was lost"),
        ({"attempts": 2}, "the kernel refused it 2 times"),
        ({"state": MarkState.LOADING, "loads": 3}, "3 boots ended while they loaded it"),
    ],
)
def test_spent_image_goes(
    changes: dict[str, int], words: str, swap: Path, machine: Machine
) -> None:
    mark = mark_of(swap)
    assert mark
    set_mark(swap, mark._replace(**changes))  # type: ignore[arg-type]
    said = machine.discard()
    assert (said.code, words in said.out) == (0, True)
    assert is_as_before(swap)


def test_image_without_a_guard_goes(swap_file: SwapFile, machine: Machine) -> None:
    path = swap_file(100)
    put_image(path, bytes(PAGE), [(5, 90)], Made(guard=None))
    assert "does not say what it holds mounted" in machine.discard(path).out
    assert mark_of(path) is None


def test_nothing_was_kept(machine: Machine) -> None:
    nothing = Result(0, "this boot kept no image: nothing to discard\n", "")
    assert machine.discard() == nothing
    BootRecord(1.0, 3, "no image").save()
    assert machine.discard() == nothing


@pytest.mark.parametrize(
    ("outcome", "boot", "is_kept"),
    [
        (Outcome.BEGUN, ELSEWHERE, True),
        (Outcome.BEGUN, HERE, False),
        (Outcome.RESUMED, ELSEWHERE, False),
        (Outcome.REFUSED, ELSEWHERE, False),
    ],
)
def test_later_boots_know_why(outcome: Outcome, boot: str, is_kept: bool, machine: Machine) -> None:
    """What the resumer said is in /run: the next boot would have no word of it."""
    last = HibernationRecord(outcome, 1, 0, boot, "/dev/sda2", "uuid", 0, "")
    last.save()
    BootRecord(2.0, 10, "noresume").save()
    assert machine.discard().code == 0
    told = last._replace(outcome=Outcome.REFUSED, ended=2, exit_code=10, message="noresume")
    assert HibernationRecord.read() == (told if is_kept else last)


def test_record_that_cannot_be_read_keeps_no_image(swap: Path, machine: Machine) -> None:
    Path(record.HIBERNATION_PATH).parent.mkdir(parents=True, exist_ok=True)
    Path(record.HIBERNATION_PATH).write_text("[", encoding="ascii")
    machine.changed = "it has changed"
    said = machine.discard()
    assert (said.code, "is discarded" in said.out) == (0, True)
    assert "is not what torpor writes" in said.err
    assert is_as_before(swap)


def test_store_that_is_no_swap_turns_none_on(tmp_path: Path, machine: Machine) -> None:
    """It begins at a page of the device, as a file does."""
    path = tmp_path / "disk"
    path.write_bytes(bytes(100 * PAGE))
    with path.open("r+b") as file:
        new_store_header(file.fileno(), "it", 90, page=7)
    put_image(path, bytes(PAGE), [(8, 80)], page=7)
    keep(path, 7)
    machine.changed = "xfs has changed"
    assert machine.discard().out == f"the image on {path} is discarded: xfs has changed\n"
    assert mark_of(path, 7) is None
    assert machine.ran == []


def test_swap_that_does_not_work_is_only_said(swap: Path, machine: Machine) -> None:
    machine.changed = "changed"
    machine.swapon = subprocess.CompletedProcess([""], 255, "", "swapon: /dev/x: not found\n")
    said = machine.discard()
    assert (said.code, said.err) == (0, "torpor: swapon -a: swapon: /dev/x: not found\n")


def test_damaged_image_goes(swap: Path, machine: Machine) -> None:
    with swap.open("r+b") as file:
        file.seek(5 * PAGE + 100)
        file.write(b"\xff" * 9)
    assert "superblock has a wrong checksum" in machine.discard().out
    assert is_as_before(swap)


def test_image_that_cannot_be_judged_stays(swap: Path, machine: Machine) -> None:
    """A newer Torpor made it, or its device cannot be read."""
    with swap.open("r+b") as file:
        file.seek(MARK_OFFSET + 8)
        file.write(b"\x02")
    before = swap.read_bytes()
    said = machine.discard()
    assert (said.code, one_message(said.err)) == (5, True)
    assert swap.read_bytes() == before
    keep(Path("/nonexistent"))
    assert machine.discard().code == 6


@pytest.mark.parametrize(
    ("code", "outcome", "is_pending", "runs"),
    [
        (3, None, False, False),
        (3, Outcome.RESUMED, False, False),
        (3, Outcome.BEGUN, False, True),
        (11, None, False, True),
        (3, Outcome.REFUSED, True, True),
        (None, None, True, True),
    ],
)
def test_the_unit_runs_only_after_a_boot_that_had_an_image_or_should_have_had(
    code: int | None, outcome: Outcome | None, is_pending: bool, runs: bool
) -> None:
    """Most boots have none, and the command takes half a second to start."""
    unit = Path(__file__).parents[2] / "package/files/torpor-stale.service"
    lines = unit.read_text().replace("\\\n", "").splitlines()
    assert f"ConditionPathExists=|{BOOT_PATH}" in lines
    assert f"ConditionPathExists=|{PENDING_PATH}" in lines
    assert "ExecStart=/usr/bin/torpor discard --stale" in lines
    assert "After=local-fs.target" in lines
    if code is not None:
        BootRecord(1, code, "x").save()
    if is_pending:
        pending.note(1, 1)
    if outcome:
        HibernationRecord(outcome, 1, 0, "boot", "/dev/sda2", "uuid", 0, "").save()
    (condition,) = [line for line in lines if line.startswith("ExecCondition=")]
    for path, here in (
        (BOOT_PATH, boot.PATH),
        (LAST_PATH, record.HIBERNATION_PATH),
        (PENDING_PATH, pending.PATH),
    ):
        condition = condition.replace(path, here)
    done = subprocess.run(shlex.split(condition.partition("=")[2]), check=False)
    assert (done.returncode == 0) == runs
