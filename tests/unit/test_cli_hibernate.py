"""torpor hibernate: what it hands on, and what it keeps of how it went."""

from dataclasses import replace
from pathlib import Path

import pytest

import torpor.hibernate as command
from errors import KernelRefusedError, NoSpaceError, UnreadableError
from hibernate.choose import Settings
from hibernate.downtime import Downtime
from hibernate.plan import Plan
from hibernate.power_off import Mode
from state import conf, location, record
from state.location import Location
from state.record import HibernationRecord, Outcome
from torpor.__main__ import main


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """What the writer was asked for; it does nothing."""
    asked: list[Plan] = []
    monkeypatch.setattr(command, "hibernate", lambda plan, *_, **__: asked.append(plan))
    monkeypatch.setattr(command, "choose_store", lambda name, _settings: name or "/dev/chosen")
    monkeypatch.setattr(command, "check_found", lambda *_: "")
    monkeypatch.setattr(command, "other_swaps", lambda _store: [])
    monkeypatch.setattr(command, "_kernel_log", lambda: lambda _message: None)
    monkeypatch.setattr(command, "default_mode", lambda: Mode.PLATFORM)
    monkeypatch.setattr(command, "recorded", lambda *_: b"")
    return asked


def torpor(*argv: str) -> int:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sys.argv", ["torpor", "hibernate", *argv])
        return main()


def test_other_swap_is_warned_of(
    plans: list[Plan], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "other_swaps", lambda _store: ["/dev/b", "/swap"])
    assert torpor() == 0
    assert "there is swap on /dev/b, /swap, too" in capsys.readouterr().err
    assert len(plans) == 1


def kept() -> HibernationRecord:
    found = HibernationRecord.read()
    assert found is not None
    return found


def write(path: str, text: str) -> None:
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text(text)


def test_success_is_kept(plans: list[Plan]) -> None:
    assert torpor("--store", "/dev/x") == 0
    assert plans[0] == Plan("/dev/x", Mode.PLATFORM, image_uuid=plans[0].image_uuid)
    assert (kept().outcome, kept().store, kept().exit_code) == (Outcome.RESUMED, "/dev/x", 0)
    assert kept().image_uuid == str(plans[0].image_uuid)
    assert kept().ended >= kept().begun > 0


def test_downtime_of_all_attempts_is_kept(
    plans: list[Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(plan: Plan, _log: object, downtime: Downtime, **__: object) -> None:
        downtime.seconds += 2.5
        plans.append(plan)
        if len(plans) == 1:
            raise NoSpaceError("no room left")

    monkeypatch.setattr(command, "hibernate", stop)
    assert torpor() == 0
    assert (kept().outcome, kept().downtime) == (Outcome.RESUMED, 5.0)


def test_options_come_before_the_configuration(plans: list[Plan]) -> None:
    write(conf.PATH, "image-size = 0\nmode = shutdown\ncodec = zstd\n")
    assert torpor() == 0
    assert torpor("--image-size", "1G", "--mode", "reboot", "--codec", "none") == 0
    wishes = [(plan.store, plan.mode, plan.image_size, plan.codec) for plan in plans]
    assert wishes == [
        ("/dev/chosen", "shutdown", 0, "zstd"),
        ("/dev/chosen", "reboot", 1 << 30, "none"),
    ]


def test_failure_is_kept(plans: list[Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        assert kept().outcome is Outcome.BEGUN
        raise KernelRefusedError("cannot freeze /dev/chosen")

    monkeypatch.setattr(command, "hibernate", fail)
    assert torpor() == KernelRefusedError.exit_code
    assert (kept().outcome, kept().exit_code) == (Outcome.FAILED, KernelRefusedError.exit_code)
    assert kept().message == "cannot freeze /dev/chosen"


def test_image_that_does_not_fit_is_tried_once_more_as_small_as_can_be(
    monkeypatch: pytest.MonkeyPatch, plans: list[Plan], capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []

    def fail(plan: Plan, *_: object, **__: object) -> None:
        assert kept().image_uuid == str(plan.image_uuid)
        plans.append(plan)
        raise NoSpaceError(f"no room left after {len(plans)} MiB", "make it smaller")

    monkeypatch.setattr(command, "hibernate", fail)
    monkeypatch.setattr(command, "_kernel_log", lambda: said.append)
    assert torpor("--verify") == NoSpaceError.exit_code
    first, second = plans
    assert second == replace(first, image_size=0, image_uuid=second.image_uuid)
    assert first.image_uuid != second.image_uuid, "chunks of the first are on the disk"
    assert said == ["no room left after 1 MiB; trying once more with the smallest image"]
    assert "no room left after 2 MiB; even the smallest image does not fit" in kept().message
    assert "make it smaller" not in capsys.readouterr().err


def test_smaller_image_that_fits_is_a_success(
    monkeypatch: pytest.MonkeyPatch, plans: list[Plan]
) -> None:
    def fit(plan: Plan, *_: object, **__: object) -> None:
        plans.append(plan)
        if plan.image_size != 0:
            raise NoSpaceError("no room left")

    monkeypatch.setattr(command, "hibernate", fit)
    assert torpor() == 0
    assert kept().outcome is Outcome.RESUMED
    assert kept().image_uuid == str(plans[1].image_uuid)


def test_smallest_image_is_not_tried_twice(
    monkeypatch: pytest.MonkeyPatch, plans: list[Plan]
) -> None:
    def fail(plan: Plan, *_: object, **__: object) -> None:
        plans.append(plan)
        raise NoSpaceError("no room left")

    monkeypatch.setattr(command, "hibernate", fail)
    assert torpor("--image-size", "0") == NoSpaceError.exit_code
    assert len(plans) == 1


def test_helpers_and_verify_are_handed_on(plans: list[Plan]) -> None:
    write(conf.PATH, "helpers = my-fuse  other\n")
    assert torpor() == torpor("--verify") == 0
    assert [(plan.helpers, plan.verify) for plan in plans] == [
        (("my-fuse", "other"), False),
        (("my-fuse", "other"), True),
    ]


def test_wrong_configuration_stops_it(
    plans: list[Plan], capsys: pytest.CaptureFixture[str]
) -> None:
    write(conf.PATH, "sotre = /dev/x\n")
    assert torpor() == 15
    assert "line 1: there is no 'sotre'" in capsys.readouterr().err
    assert plans == []
    assert kept().outcome is Outcome.FAILED


def test_settings_and_warning(
    plans: list[Plan], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Settings] = []

    def check(_store: str, settings: Settings) -> str:
        seen.append(settings)
        return "the next boot looks elsewhere"

    monkeypatch.setattr(command, "check_found", check)
    write(location.PATH, Location("UUID=1", 5).build())
    assert torpor() == 0
    assert seen[0].location == Location("UUID=1", 5)
    assert capsys.readouterr().err.startswith("torpor: warning: the next boot looks elsewhere\n")
    assert len(plans) == 1


def test_record_that_cannot_be_written_is_no_reason_not_to_hibernate(
    plans: list[Plan], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise UnreadableError("cannot write the record")

    monkeypatch.setattr(record, "write_text", fail)
    assert torpor() == 0
    assert "torpor status will not know" in capsys.readouterr().err
    assert len(plans) == 1


def test_what_was_recorded_goes_into_the_image_and_comes_back(
    plans: list[Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, object]] = []
    monkeypatch.setattr(command, "recorded", lambda wish, _size, _log: wish.encode())
    monkeypatch.setattr(command, "bring_back", lambda section, _log: done.append(("back", section)))
    monkeypatch.setattr(
        command, "hibernate", lambda *_, working_set: done.append(("image", working_set))
    )
    write(conf.PATH, "working-set = no-paths\n")
    assert torpor("--working-set", "off") == 0
    assert torpor() == 0
    assert done == [
        ("image", b"off"),
        ("back", b"off"),
        ("image", b"no-paths"),
        ("back", b"no-paths"),
    ]


def test_a_failed_hibernation_gives_back_what_it_has_thrown_out(
    plans: list[Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    back: list[bytes] = []

    def fail(*_: object, **__: object) -> None:
        raise KernelRefusedError("no")

    monkeypatch.setattr(command, "recorded", lambda *_: b"cached")
    monkeypatch.setattr(command, "bring_back", lambda section, _log: back.append(section))
    monkeypatch.setattr(command, "hibernate", fail)
    assert torpor() == KernelRefusedError.exit_code
    assert back == [b"cached"]


@pytest.mark.parametrize(("word", "size"), [("min", 0), ("max", 1 << 62), ("3M", 3 << 20)])
def test_image_size_by_name(plans: list[Plan], word: str, size: int) -> None:
    assert torpor("--image-size", word) == 0
    write(conf.PATH, f"image-size = {word}\n")
    assert torpor() == 0
    assert [plan.image_size for plan in plans] == [size, size]
