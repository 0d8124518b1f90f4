"""torpor workingset, and what status says of a replay."""

import json
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from format.working_set import build_file, parse_file
from linux import kmsg, programs, tasks
from state import working_set
from state.working_set import ReplayOutcome, ReplayRecord, read_working_set, save_working_set
from tests import forge
from tests.tools import wait_until
from tests.unit.conftest import Torpor
from workingset.background import bring_back, start_replay

ENOUGH = 1 << 50
"""Bytes of an image that has room for everything."""

DONE = ReplayRecord(
    ReplayOutcome.STOPPED,
    1.0,
    12.34,
    "free memory runs short",
    {"recorded": 1000, "restored": 900, "skipped": 3},
    {"recorded": 51200, "resident": 256, "restored": 25600, "skipped": 25344},
    {"recorded": 30, "skipped": 2},
    {"recorded": 2560, "resident": 0, "restored": 2560, "skipped": 0},
    {"gone": 2, "changed": 1},
)


def test_file_of_the_specification() -> None:
    assert build_file(b"section") == forge.working_set_file(b"section")
    assert parse_file(forge.working_set_file(b"section")) == b"section"


SOUND = forge.working_set_file(forge.working_set())


def huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 30)


@pytest.mark.parametrize(
    ("made", "code", "message"),
    [
        (b"", 3, "no working set"),
        (b"something else", 3, "no working set"),
        (SOUND[:9], 4, "cut off"),
        (forge.working_set_file(b"", version=2), 5, "version 2"),
        (SOUND[:-1], 4, "cut off"),
        (SOUND + b"\0", 4, "cut off, or longer"),
        (SOUND[:40] + b"\xff" + SOUND[41:], 4, "wrong checksum"),
        (forge.working_set_file(forge.working_set()[:-1]), 4, "cannot be read"),
        (forge.working_set_file(forge.working_set(flags=8)), 5, "unknown flags"),
        (os.mkfifo, 6, "no ordinary file"),
        (os.mkdir, 6, "no ordinary file"),
        (huge, 6, "is larger than"),
        (str, 3, "no such file"),
    ],
)
def test_what_is_no_working_set_is_refused(
    made: bytes | Callable[[Path], object], code: int, message: str, tmp_path: Path, torpor: Torpor
) -> None:
    path = tmp_path / "file"
    path.write_bytes(made) if isinstance(made, bytes) else made(path)
    said = torpor("workingset", "replay", path)
    assert said.code == code
    assert str(path) in said.err
    assert message in said.err


def test_record_and_replay(tmp_path: Path, torpor: Torpor) -> None:
    path = tmp_path / "set"
    assert " files with " in torpor("workingset", "record", path).out
    assert torpor("workingset", "replay", path).out.startswith("working set: ")
    assert path.exists()
    kept = ReplayRecord.read()
    assert kept is not None
    assert kept.outcome in (ReplayOutcome.DONE, ReplayOutcome.STOPPED)
    assert str(kept) in torpor("status").out
    told = json.loads(torpor("status", "--json").out)["replay"]
    assert told["file_pages"]["recorded"] == kept.file_pages["recorded"]


def test_the_one_that_waits_is_replayed_once(torpor: Torpor) -> None:
    assert "none that waits" in torpor("workingset", "replay").err
    save_working_set(forge.working_set())
    assert "3 file system not mounted" in torpor("workingset", "replay").out
    assert torpor("workingset", "replay").code == 3


def test_one_that_is_damaged_does_not_wait_for_ever(torpor: Torpor) -> None:
    save_working_set(b"damaged")
    assert [torpor("workingset", "replay").code for _ in range(2)] == [4, 3]
    save_working_set(forge.working_set())
    os.truncate(working_set.WAITING_PATH, 50)
    assert [torpor("workingset", "replay").code for _ in range(2)] == [4, 3]


def test_a_device_is_written_to_and_stays_one(tmp_path: Path, torpor: Torpor) -> None:
    """As /dev/null."""
    device = tmp_path / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("no device can be made here")
    assert torpor("workingset", "record", device).code == 0
    assert device.is_char_device()
    assert [path.name for path in tmp_path.iterdir() if path.name != "kept"] == ["null"]


def test_what_is_recorded_is_for_its_owner_only(tmp_path: Path, torpor: Torpor) -> None:
    """It names the files of every user. A link in the way is not followed."""
    places = (tmp_path / "set", Path(working_set.WAITING_PATH))
    other = tmp_path / "others"
    other.write_bytes(b"theirs")
    for path in places:
        path.parent.mkdir(exist_ok=True)
        path.with_name(f"{path.name}.partial").symlink_to(other)
    assert torpor("workingset", "record", places[0]).code == 0
    save_working_set(forge.working_set())
    assert other.read_bytes() == b"theirs"
    assert [path.lstat().st_mode & 0o777 for path in places] == [0o600, 0o600]


def test_a_replay_that_was_killed_is_not_running(torpor: Torpor) -> None:
    here, now = os.getpid(), tasks.start_of(os.getpid())
    for pid, started, said, outcome in (
        (here, now, "is being brought back", "running"),
        (here, now - 1, "when that was killed", "killed"),
        ((1 << 31) - 1, 1, "when that was killed", "killed"),
    ):
        ReplayRecord(ReplayOutcome.RUNNING, 1.0, 0, pid=pid, started=started).save()
        assert said in torpor("status").out
        assert json.loads(torpor("status", "--json").out)["replay"]["outcome"] == outcome


def test_words() -> None:
    assert str(DONE) == (
        "working set: 101 of 200 MiB of 1000 files, 10 of 10 MiB of 30 processes in memory again "
        "after 12.3 s; files left alone: 2 gone, 1 changed; 2 processes are gone; "
        "free memory runs short"
    )
    DONE.save()
    assert ReplayRecord.read() == DONE
    assert "is being brought back" in str(ReplayRecord(ReplayOutcome.RUNNING, 1.0, 0))


@pytest.mark.parametrize(
    "text",
    ["[", "{}", '{"outcome": "lost"}', '{"outcome": "done"}', '{"outcome": "done", "files": {}}'],
)
def test_damaged_record(text: str, torpor: Torpor) -> None:
    path = Path(working_set.REPLAY_PATH)
    path.parent.mkdir()
    path.write_text(text)
    said = torpor("status")
    assert (said.code, "is not what torpor writes" in said.err) == (21, True)


def test_a_replay_that_goes_on_makes_room_for_the_new_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`systemctl start` does nothing while the service is active."""
    ran: list[list[str]] = []

    def run(command: list[str], _seconds: float) -> subprocess.CompletedProcess[str]:
        ran.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(programs, "SYSTEMD_RUNS", str(tmp_path))
    monkeypatch.setattr(programs, "run", run)
    bring_back(forge.working_set(), print)
    assert ran == [["systemctl", "restart", "--no-block", "torpor-workingset.service"]]


def test_bringing_back_leaves_the_set_for_what_is_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said: list[str] = []
    started: list[bytes | None] = []

    def start() -> None:
        started.append(read_working_set())

    bring_back(b"", said.append, start)
    assert (read_working_set(), started) == (None, [])
    bring_back(forge.working_set(), said.append, start)
    assert (started, said) == ([forge.working_set()], [])
    monkeypatch.setattr(working_set, "WAITING_PATH", str(tmp_path / "file/below"))
    (tmp_path / "file").write_bytes(b"")
    bring_back(forge.working_set(), said.append, start)
    assert "is not brought back" in said[0]
    assert len(started) == 1


def test_without_systemd_a_process_of_its_own_does_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What it says goes to the kernel log."""
    log = tmp_path / "log"
    log.touch()
    monkeypatch.setattr(programs, "SYSTEMD_RUNS", str(tmp_path / "nothing"))
    monkeypatch.setattr(kmsg, "PATH", str(log))
    start_replay()
    wait_until(lambda: "workingset" in log.read_text())
