"""What the kernel command line asks the resumer for, and how long devices are waited for."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

import resume.__main__ as program
import resume.find as finding
from errors import DeviceNotFoundError
from linux import tasks
from resume import wait
from resume.request import Request
from resume.wait import Waiting, wait_for_device
from state.location import Location
from tests.unit.fake_snapshot import FakeSnapshot

NOTHING = Request("", 0, False, False, 0, 10, "")
KEPT = Location("LABEL=kept", 77, "ab" * 16, "/swapfile")


def asking(device: str = "", offset: int = 0, **more: object) -> Request:
    named = {"device": device, "offset": offset, "by_command_line": bool(device)}
    return replace(NOTHING, **named, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("quiet", NOTHING),
        ("resume=/dev/sda2 quiet", asking("/dev/sda2")),
        ("resume=/dev/a resume=UUID=x noresume", asking("UUID=x", forbidden=True)),
        ('resume="PARTLABEL=my swap" resumewait', asking("PARTLABEL=my swap", timeout=300)),
        ("resumedelay=5 resume=8:2", asking("8:2", delay=5)),
        ("resumedelay=soon", NOTHING),
        ("resumedelay=99999", asking(delay=300)),
        ("quiet -- resume=/dev/init", NOTHING),
        ("resume=/dev/a resume_offset=34816", asking("/dev/a", 34816)),
        ("resume=/dev/a resume_offset=-1", asking("/dev/a")),
        ("resume=/dev/a resume_offset=999999999999999", asking("/dev/a", 999999999999999)),
        ("resume=/dev/a resume_offset=1000000000000000", asking("/dev/a")),
        (f"resume=/dev/a resume_offset={'9' * 400}", asking("/dev/a")),
        ("resume_offset=34816", NOTHING),
        ("torpor.timeout=25", asking(timeout=25)),
        ("torpor.timeout=25 resumewait", asking(timeout=25)),
        ("torpor.timeout=ever", NOTHING),
        ("torpor.timeout=0", asking(timeout=0)),
    ],
)
def test_command_line(text: str, expected: Request) -> None:
    assert Request.parse(text, None) == expected


def test_what_enable_kept_stands_where_the_command_line_is_silent() -> None:
    kept = replace(NOTHING, device="LABEL=kept", offset=77, machine_id="ab" * 16)
    assert Request.parse("quiet", KEPT) == kept
    assert Request.parse("quiet resume_offset=5", KEPT) == kept
    named = Request.parse("resume=/dev/a", KEPT)
    assert named == replace(kept, device="/dev/a", offset=0, by_command_line=True)
    hasty = Request.parse("resumedelay=9 resume=/dev/a", KEPT).at_once()
    assert hasty == replace(named, delay=9, waited=True)


def test_what_somebody_waited_for_is_not_waited_for_again(
    device: FakeSnapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait(*_: object) -> str:
        raise AssertionError("waits again")

    monkeypatch.setattr(finding, "wait_for_device", wait)
    request = Request.parse("resume=/dev/nowhere resumedelay=9 torpor.timeout=7", None)
    with pytest.raises(DeviceNotFoundError, match="/dev/nowhere did not appear within 7 s"):
        program.resume(request.at_once(), lambda *_: None, lambda _kept: None)


def test_device_that_never_comes_is_waited_for_and_given_up() -> None:
    with pytest.raises(DeviceNotFoundError, match="did not appear within 0 s"):
        wait_for_device("UUID=00000000-dead-beef-0000-000000000000", Waiting(0.2, time.monotonic()))


def test_time_of_a_passphrase_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device comes after its time was over twice, since somebody was typing meanwhile."""
    question = tmp_path / "ask.x"
    question.touch()
    monkeypatch.setattr(wait, "QUESTIONS", str(tmp_path / "ask.*"))
    looks: list[float] = []

    def find(_spec: str) -> str | None:
        looks.append(time.monotonic())
        if len(looks) == 4:
            question.unlink()
        return "/dev/late" if len(looks) == 5 else None

    monkeypatch.setattr(wait, "find_device", find)
    monkeypatch.setattr(wait, "_LOOK_AGAIN", 0.1)
    assert wait_for_device("UUID=x", Waiting(0.15, time.monotonic())) == "/dev/late"


def test_nobody_types_for_more_than_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ask.x").touch()
    monkeypatch.setattr(wait, "QUESTIONS", str(tmp_path / "ask.*"))
    monkeypatch.setattr(wait, "_LOOK_AGAIN", 0.01)
    assert Waiting(7, time.monotonic() - 3590).more()
    assert not Waiting(7, time.monotonic() - 3610).more()


def test_time_to_start_counts_but_not_what_somebody_else_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The guard's devices get all of the time where torpor-boot has waited for the image's."""
    monkeypatch.setattr(tasks, "age", lambda: 4.0)
    monkeypatch.setattr(wait, "_LOOK_AGAIN", 0.01)
    request = Request.parse("resume=/dev/a torpor.timeout=4", None)
    assert not Waiting.of(request).more()
    assert Waiting.of(request.at_once()).more()
    assert Waiting.of(Request.parse("resume=/dev/a torpor.timeout=5", None)).more()


def test_time_is_shared_by_all_that_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wait, "_LOOK_AGAIN", 0.01)
    waiting = Waiting(0.1, time.monotonic())
    assert waiting.more()
    time.sleep(0.1)
    assert not waiting.more()
