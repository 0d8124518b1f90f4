"""torpor workingset, and what status says of a replay."""

import contextlib
import json
import os
import signal
import stat
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest

from format.sections.working_set import WorkingSet, build_file, parse_file
from linux import kmsg, programs, tasks
from state import working_set
from state.conf import NO_PATHS, OFF, ON
from state.working_set import ReplayOutcome, ReplayRecord, read_working_set, save_working_set
from tests import forge
from tests.unit.test_linux_memory import sleeper
from torpor import record_replay
from torpor.__main__ import main
from torpor.replayed import in_words
from workingset.record import record

pytestmark = pytest.mark.usefixtures("few_names")

ENOUGH = 1 << 50
"""Bytes of an image that has room for everything."""

BUSY_LIMIT = 8.0
"""Seconds for a recording on a busy machine, and less than those after which it is given up."""

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


def torpor(*argv: str) -> int:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sys.argv", ["torpor", *argv])
        handlers = {number: signal.getsignal(number) for number in (1, 2, 15)}
        try:
            return main()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


def test_file_of_the_specification() -> None:
    assert build_file(b"section") == forge.working_set_file(b"section")
    assert parse_file(forge.working_set_file(b"section")) == b"section"


SOUND = forge.working_set_file(forge.working_set())


@pytest.mark.parametrize(
    ("data", "code", "message"),
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
    ],
)
def test_what_is_no_working_set_is_refused(
    data: bytes, code: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    assert torpor("workingset", "replay", str(path)) == code
    said = capsys.readouterr().err
    assert f"torpor: {path}: " in said
    assert message in said


def test_what_cannot_be_read_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    large = tmp_path / "large"
    large.touch()
    os.truncate(large, 1 << 30)
    for path, code, message in (
        (fifo, 6, "no ordinary file"),
        (large, 6, "is larger than"),
        (tmp_path / "none", 3, "no such file"),
        (tmp_path, 6, "no ordinary file"),
    ):
        assert torpor("workingset", "replay", str(path)) == code
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("record",), "record needs a FILE"),
        (("replay", "x", "--no-paths"), "--no-paths is for record"),
        (("rewind", "x"), "invalid choice"),
    ],
)
def test_usage(argv: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        torpor("workingset", *argv)
    assert message in capsys.readouterr().err


def test_record_and_replay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "set"
    assert torpor("workingset", "record", str(path)) == 0
    assert " files with " in capsys.readouterr().out
    assert torpor("workingset", "replay", str(path)) == 0
    assert capsys.readouterr().out.startswith("working set: ")
    assert path.exists()
    kept = ReplayRecord.read()
    assert kept is not None
    assert kept.outcome in (ReplayOutcome.DONE, ReplayOutcome.STOPPED)
    assert torpor("status") == 0
    assert in_words(kept) in capsys.readouterr().out
    assert torpor("status", "--json") == 0
    told = json.loads(capsys.readouterr().out)["replay"]
    assert told["file_pages"]["recorded"] == kept.file_pages["recorded"]


def test_the_one_that_waits_is_replayed_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert torpor("workingset", "replay") == 3
    assert "none that waits" in capsys.readouterr().err
    save_working_set(forge.working_set())
    assert torpor("workingset", "replay") == 0
    assert "3 file system not mounted" in capsys.readouterr().out
    assert torpor("workingset", "replay") == 3


def test_one_that_is_damaged_does_not_wait_for_ever() -> None:
    save_working_set(b"damaged")
    assert torpor("workingset", "replay") == 4
    assert torpor("workingset", "replay") == 3
    save_working_set(forge.working_set())
    os.truncate(working_set.WAITING_PATH, 50)
    assert torpor("workingset", "replay") == 4
    assert torpor("workingset", "replay") == 3


def test_a_device_is_written_to_and_stays_one(tmp_path: Path) -> None:
    """As /dev/null."""
    device = tmp_path / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("no device can be made here")
    assert torpor("workingset", "record", str(device)) == 0
    assert device.is_char_device()
    assert [path.name for path in tmp_path.iterdir() if path.name != "kept"] == ["null"]


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "others"
    other.write_bytes(b"theirs")
    for path in (tmp_path / "set", Path(working_set.WAITING_PATH)):
        path.parent.mkdir(exist_ok=True)
        path.with_name(f"{path.name}.partial").symlink_to(other)
    assert torpor("workingset", "record", str(tmp_path / "set")) == 0
    save_working_set(forge.working_set())
    assert other.read_bytes() == b"theirs"


def test_a_replay_that_was_killed_is_not_running(capsys: pytest.CaptureFixture[str]) -> None:
    here, now = os.getpid(), tasks.start_of(os.getpid())
    for pid, started, said, outcome in (
        (here, now, "is being brought back", "running"),
        (here, now - 1, "when that was killed", "killed"),
        ((1 << 31) - 1, 1, "when that was killed", "killed"),
    ):
        ReplayRecord(ReplayOutcome.RUNNING, 1.0, 0, pid=pid, started=started).save()
        assert torpor("status") == 0
        assert said in capsys.readouterr().out
        assert torpor("status", "--json") == 0
        assert json.loads(capsys.readouterr().out)["replay"]["outcome"] == outcome


def test_words() -> None:
    assert in_words(DONE) == (
        "working set: 101 of 200 MiB of 1000 files, 10 of 10 MiB of 30 processes in memory again "
        "after 12.3 s; files left alone: 2 gone, 1 changed; 2 processes are gone; "
        "free memory runs short"
    )
    DONE.save()
    assert ReplayRecord.read() == DONE
    assert "is being brought back" in in_words(ReplayRecord(ReplayOutcome.RUNNING, 1.0, 0))


@pytest.mark.parametrize(
    "text",
    ["[", "{}", '{"outcome": "lost"}', '{"outcome": "done"}', '{"outcome": "done", "files": {}}'],
)
def test_damaged_record(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(working_set.REPLAY_PATH)
    path.parent.mkdir()
    path.write_text(text)
    assert torpor("status") == 21
    assert "is not what torpor writes" in capsys.readouterr().err


def test_what_a_hibernation_records() -> None:
    said: list[str] = []
    assert record_replay.recorded(OFF, ENOUGH, said.append) == b""
    assert said == []
    with_paths, without = (
        record_replay.recorded(wish, ENOUGH, said.append) for wish in (ON, NO_PATHS)
    )
    assert with_paths[0] & 1 == 0
    assert without[0] & 1 == 1
    assert all(line.startswith("working set of ") for line in said)


def test_the_command_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is gone when the replay begins."""
    monkeypatch.setattr(record_replay, "record", partial(record, limit=BUSY_LIMIT))
    with sleeper() as (pid, _private, _shared):
        whole = WorkingSet.parse(record_replay.recorded(ON, ENOUGH, lambda _line: None))
    pids = {process.pid for process in whole.processes}
    assert pid in pids
    assert os.getpid() not in pids


def test_trouble_is_no_reason_not_to_hibernate(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise PermissionError(1, "not allowed")

    said: list[str] = []
    monkeypatch.setattr(record_replay, "record", fail)
    assert record_replay.recorded(ON, ENOUGH, said.append) == b""
    assert "no working set is recorded: " in said[0]


def is_running(command: bytes) -> bool:
    for pid in tasks.pids():
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes() == command:
                return True
    return False


def test_recording_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """With all its processes, which may wait for a disk that does not answer."""
    said: list[str] = []
    monkeypatch.setattr(record_replay, "_MOST_SECONDS", 0.5)
    monkeypatch.setattr(
        record_replay, "record", lambda **_: subprocess.run(["sleep", "73"], check=True)
    )
    assert record_replay.recorded(ON, ENOUGH, said.append) == b""
    assert said == ["no working set is recorded: it takes more than 0 s"]
    deadline = time.monotonic() + 10
    while is_running(b"sleep\x0073\0"):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_replay_that_goes_on_makes_room_for_the_new_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`systemctl start` does nothing while the service is active."""
    ran: list[list[str]] = []

    def run(command: list[str], _seconds: float) -> subprocess.CompletedProcess[str]:
        ran.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(record_replay, "_SYSTEMD", str(tmp_path))
    monkeypatch.setattr(programs, "run", run)
    record_replay.bring_back(forge.working_set(), print)
    assert ran == [["systemctl", "restart", "--no-block", "torpor-workingset.service"]]


def test_bringing_back_returns_at_once_and_leaves_the_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said: list[str] = []
    started: list[bool] = []
    monkeypatch.setattr(record_replay, "_start_unit", lambda: False)
    monkeypatch.setattr(record_replay, "_start_process", lambda: started.append(True))
    record_replay.bring_back(b"", said.append)
    assert read_working_set() is None
    begun = time.monotonic()
    record_replay.bring_back(forge.working_set(), said.append)
    assert time.monotonic() - begun < 5
    assert read_working_set() == forge.working_set()
    assert (started, said) == ([True], [])
    monkeypatch.setattr(working_set, "WAITING_PATH", str(tmp_path / "file/below"))
    (tmp_path / "file").write_bytes(b"")
    record_replay.bring_back(forge.working_set(), said.append)
    assert "is not brought back" in said[0]
    assert kmsg.PATH.startswith("/nonexistent")


def test_what_is_recorded_is_for_its_owner_only(tmp_path: Path) -> None:
    """It names the files of every user."""
    assert torpor("workingset", "record", str(tmp_path / "set")) == 0
    save_working_set(forge.working_set())
    for path in (tmp_path / "set", Path(working_set.WAITING_PATH)):
        assert path.stat().st_mode & 0o777 == 0o600
