"""In which order a machine stops, what is found, and what is named if it does not stop."""

import errno
import os
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path

import pytest

from errors import KernelRefusedError
from guard.take import Guarded
from hibernate import freeze
from hibernate.cgroups import Cgroups
from hibernate.filesystems import FileSystems
from hibernate.freeze import Freeze, freeze_tasks, stuck_tasks
from linux import filesystem
from linux.open_file import OpenFile
from tests.unit.fake_snapshot import FakeSnapshot

SHOWN = [
    "Freezing user space processes",
    "Freezing user space processes failed after 20.007 seconds (1 tasks refusing to freeze):",
    "task:fstrim          state:D stack:0     pid:15564 tgid:15564 ppid:1      flags:0x00004006",
    "Call Trace:",
    "task:my task: x      state:D stack:    0 pid:  130 ppid:   120 flags:0x00000081",
    "task:cut             state:D",
    "task:fourth          state:D stack:0     pid:1 tgid:1",
]


def test_tasks_that_the_kernel_shows_are_named() -> None:
    assert stuck_tasks(SHOWN) == [
        "fstrim (process 15564)",
        "my task: x (process 130)",
        "cut (process ?)",
    ]


class Log(OpenFile):
    """Stands for the kernel log, which shows tasks when the freeze has failed."""

    messages: list[str] = SHOWN[:4]

    def __init__(self) -> None:
        super().__init__(os.memfd_create("log"))

    def new_messages(self) -> list[str]:
        return self.messages


@pytest.mark.parametrize(
    ("messages", "expected"),
    [(SHOWN[:4], r"fstrim \(process 15564\) does not stop"), ([], "cannot be frozen: .*busy")],
)
def test_task_that_does_not_freeze_is_in_the_message(
    messages: list[str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Log, "messages", messages)
    monkeypatch.setattr(freeze, "KernelLogReader", Log)
    device = FakeSnapshot().open(os.O_RDONLY)
    device.fail["freeze"] = errno.EBUSY
    with pytest.raises(KernelRefusedError, match=expected):
        freeze_tasks(device)


def test_steps_of_the_freeze(monkeypatch: pytest.MonkeyPatch) -> None:
    """And their undo, in the opposite order, when the last one fails."""
    steps: list[str] = []

    class Noted(Cgroups):
        def __init__(self, helpers: Collection[str]) -> None:
            steps.append(f"choose {helpers}")

        def freeze(self, _log: object) -> None:
            steps.append("cgroups")

        def thaw(self) -> None:
            steps.append("thaw cgroups")

    def entries(_self: Guarded) -> None:
        steps.append("guard")
        raise KernelRefusedError("unreadable")

    device = FakeSnapshot().open(os.O_RDONLY)
    monkeypatch.setattr(freeze, "Cgroups", Noted)
    monkeypatch.setattr(freeze, "flush", lambda _mounts: steps.append("flush"))
    monkeypatch.setattr(device, "freeze", lambda: steps.append("freeze"))
    monkeypatch.setattr(device, "unfreeze", lambda: steps.append("unfreeze"))
    monkeypatch.setattr(FileSystems, "freeze", lambda _: steps.append("file systems"))
    monkeypatch.setattr(FileSystems, "thaw", lambda _: steps.append("thaw"))
    monkeypatch.setattr(Guarded, "entries", entries)
    with pytest.raises(KernelRefusedError), ExitStack() as undo, Freeze(("x",)) as all_of_it:
        all_of_it.begin(device, undo, lambda _: None)
    stopping = ["choose ('x',)", "cgroups", "flush", "freeze", "file systems", "guard"]
    assert steps == [*stopping, "thaw", "unfreeze", "thaw cgroups"]


def test_zfs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of the module's own is no pool."""
    monkeypatch.setattr(filesystem, "ZFS_KSTAT", str(tmp_path))
    (tmp_path / "not-a-pool").mkdir()
    (tmp_path / "tank").mkdir()
    (tmp_path / "tank/state").write_text("ONLINE\n")
    with pytest.raises(KernelRefusedError, match="and tank would not") as refused:
        Freeze(())
    assert "zpool export tank" in refused.value.hint
