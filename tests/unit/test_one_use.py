"""An image is restored once: a test for each row of the table of the mark's states in DESIGN.md."""

import errno
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

import resume.__main__ as program
from errors import (
    ChangedError,
    DamagedError,
    ForbiddenError,
    KernelRefusedError,
    NoImageError,
    OtherKernelError,
    RestoreRefusedError,
    SpentError,
    TorporError,
    UnreadableError,
)
from format.mark import MAX_ATTEMPTS, MAX_LOADS, Mark, MarkState
from linux import PAGE_SIZE
from resume import images
from resume.outcome import Outcome
from store.header import StoreHeader
from tests.sources import opened
from tests.tools import ROOT, failing, failing_after
from tests.unit.booting import Boot
from tests.unit.conftest import RUNS, STREAM
from tests.unit.fake_snapshot import FakeSnapshot, Restored
from tests.unit.marked import HERE, Made, mark_of, put_image, set_mark

COMPLETE, LOADING, CLAIMED = MarkState.COMPLETE, MarkState.LOADING, MarkState.CLAIMED
State = tuple[MarkState, int, int]
"""State, loads, attempts."""
FRESH: State = (COMPLETE, 0, 0)
REFUSED: State = (COMPLETE, 0, 1)
LAST_ATTEMPT: State = (COMPLETE, 0, MAX_ATTEMPTS - 1)


class PowerLost(BaseException):
    """Where the machine is off."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: what a boot finds, what happens to it, what the next boot finds."""

    name: str
    before: State
    happens: str
    ends: type[BaseException]
    after: State | None
    """None: no image, and the header as mkswap made it."""


ROWS = [
    Row("restored", FRESH, "nothing", Restored, (CLAIMED, 1, 1)),
    Row("cut-before-loading", FRESH, "cut write-1", PowerLost, FRESH),
    Row("cut-while-loading", FRESH, "cut load", PowerLost, (LOADING, 1, 0)),
    Row("cut-before-the-claim", FRESH, "cut write-2", PowerLost, (LOADING, 1, 0)),
    Row("cut-after-the-claim", FRESH, "cut restore", PowerLost, (CLAIMED, 1, 1)),
    Row("loads-again", (LOADING, MAX_LOADS - 1, 0), "nothing", Restored, (CLAIMED, MAX_LOADS, 1)),
    Row("loaded-too-often", (LOADING, MAX_LOADS, 0), "nothing", SpentError, None),
    Row("claimed", (CLAIMED, 1, 1), "nothing", SpentError, None),
    Row("freeze-refused", FRESH, "refuse freeze", RestoreRefusedError, REFUSED),
    Row("restore-refused", FRESH, "refuse atomic_restore", RestoreRefusedError, REFUSED),
    Row("second-try", LAST_ATTEMPT, "nothing", Restored, (CLAIMED, 1, MAX_ATTEMPTS)),
    Row("refused-again", LAST_ATTEMPT, "refuse atomic_restore", KernelRefusedError, None),
    Row("tried-too-often", (COMPLETE, 0, MAX_ATTEMPTS), "nothing", SpentError, None),
    Row(
        "cannot-be-put-back",
        FRESH,
        "refuse atomic_restore, fail write-3",
        KernelRefusedError,
        (CLAIMED, 1, 1),
    ),
    Row("no-loading", FRESH, "fail write-1", UnreadableError, FRESH),
    Row("no-claim", FRESH, "fail write-2", UnreadableError, (LOADING, 1, 0)),
    Row("damaged", (LOADING, 1, 0), "damage", DamagedError, None),
    Row("changed", (LOADING, 1, 0), "change", ChangedError, None),
    Row("other-kernel", (LOADING, 1, 1), "other kernel", OtherKernelError, (LOADING, 1, 1)),
    Row("noresume", (LOADING, 1, 0), "noresume", ForbiddenError, None),
    Row("noresume-claimed", (CLAIMED, 1, 1), "noresume", ForbiddenError, None),
]


def state_of(path: Path) -> State | None:
    mark = mark_of(path)
    return (mark.state, mark.loads, mark.attempts) if mark else None


def put_state(path: Path, state: State) -> Mark:
    mark = mark_of(path)
    assert mark
    changed = mark._replace(state=state[0], loads=state[1], attempts=state[2])
    set_mark(path, changed)
    return changed


class Events:
    """Makes happen to a boot what a row names."""

    def __init__(self, path: Path, device: FakeSnapshot, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.device = device
        self.monkeypatch = monkeypatch
        self.after = path.with_name("after")
        self.parameters = ""

    def happen(self, words: str) -> None:
        for word in words.split(", "):
            name, _, argument = word.partition(" ")
            getattr(self, name)(argument)

    def nothing(self, _argument: str) -> None:
        """The image is restored if it can be; what is on the device then is the outcome."""
        self.device.fail.pop("atomic_restore", None)

    def cut(self, where: str) -> None:
        """No code that still runs here may write a byte after this point."""
        lose_power = failing(PowerLost())
        if where == "load":
            self.device.before["write"] = lose_power
        elif where == "restore":
            self.device.before["freeze"] = lose_power
        else:
            self.at_write(int(where[-1]), PowerLost())

    def refuse(self, call: str) -> None:
        self.device.fail[call] = errno.ENOMEM

    def fail(self, where: str) -> None:
        """From this write on the device takes no more."""
        error = UnreadableError("cannot write the device: input/output error")
        self.at_write(int(where[-1]), error)

    def damage(self, _argument: str) -> None:
        with opened(self.path) as fd:
            os.pwrite(fd, b"no chunk", RUNS[3][0] * PAGE_SIZE)

    def change(self, _argument: str) -> None:
        changed = failing(ChangedError("the root has changed"))
        self.monkeypatch.setattr(images, "compare", changed)

    def other(self, _kernel: str) -> None:
        before = state_of(self.path)
        assert before
        put_image(self.path, STREAM, RUNS, Made(HERE._replace(kernel_release="1.0")))
        put_state(self.path, before)

    def noresume(self, _argument: str) -> None:
        self.parameters = "noresume"

    def at_write(self, nth: int, error: BaseException) -> None:
        write = failing_after(nth - 1, StoreHeader._write, error)
        self.monkeypatch.setattr(StoreHeader, "_write", write)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row(
    row: Row, hibernated: Path, boot: Boot, device: FakeSnapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_state(hibernated, row.before)
    events = Events(hibernated, device, monkeypatch)
    events.happen(row.happens)
    text = f"resume={hibernated} {events.parameters}"
    if issubclass(row.ends, TorporError):
        outcome = boot.resume(text)
        assert type(outcome.error) is row.ends
        assert_settled(outcome, row, str(hibernated))
    else:
        with pytest.raises(row.ends):
            boot.resume(text)
    assert state_of(hibernated) == row.after
    if row.after is None:
        plain = hibernated.with_name("header").read_bytes()
        assert hibernated.read_bytes()[:PAGE_SIZE] == plain


def assert_settled(outcome: Outcome, row: Row, path: str) -> None:
    """It is said what became of the image."""
    stays = row.ends in (OtherKernelError, RestoreRefusedError)
    assert outcome.kept == ([(path, 0)] if stays else [])
    if "fail" in row.happens:
        assert "cannot be discarded: cannot write" in outcome.message
    else:
        assert outcome.discarded == ([] if row.after else [path])
    assert ("stays claimed" in outcome.message) == (row.name == "cannot-be-put-back")


def test_every_row_of_the_design_is_here() -> None:
    """The names stand in the table's last column."""
    design = (ROOT / "docs/DESIGN.md").read_text()
    table = design.partition("### One use")[2].partition("\n## ")[0]
    named = re.findall(r"\| `([a-z-]+)`$", table, re.MULTILINE)
    assert sorted(named) == sorted(row.name for row in ROWS)


def test_boots_without_an_end_come_to_one(
    hibernated: Path, boot: Boot, device: FakeSnapshot
) -> None:
    """A kernel that dies of loading the image boots that often, and then cold."""
    device.before["write"] = failing(PowerLost())
    for _ in range(MAX_LOADS):
        with pytest.raises(PowerLost):
            boot.resume(f"resume={hibernated}")
        device.close()
    device.before.clear()
    outcome = boot.resume(f"resume={hibernated}")
    assert isinstance(outcome.error, SpentError)
    assert f"{MAX_LOADS} boots ended while they loaded it" in str(outcome.error)
    assert isinstance(boot.resume(f"resume={hibernated}").error, NoImageError)


def test_second_boot_does_not_restore_again(
    hibernated: Path, boot: Boot, device: FakeSnapshot
) -> None:
    with pytest.raises(Restored):
        boot.resume(f"resume={hibernated}")
    device.close()
    outcome = boot.resume(f"resume={hibernated}")
    assert isinstance(outcome.error, SpentError)
    assert "restored" in str(outcome.error)
    assert device.calls.count("atomic_restore") == 1


@pytest.mark.parametrize("state", [(CLAIMED, 1, 1), (COMPLETE, 0, 2), (LOADING, 3, 0)])
def test_rehearsal_of_a_spent_image_says_so(
    state: State, hibernated: Path, device: FakeSnapshot, tmp_path: Path
) -> None:
    put_state(hibernated, state)
    copy = tmp_path / "copy"
    shutil.copy(hibernated, copy)
    before = os.stat(copy).st_mtime_ns
    with pytest.raises(SpentError):
        program.rehearse(f"resume={copy}", lambda *_: None)
    assert os.stat(copy).st_mtime_ns == before
