"""How long a boot waits for the device that is named, and who may hold it up."""

import io
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import pyudev

from errors import DeviceNotFoundError, NoImageError
from linux import programs
from resume import server, wait
from resume.request import Request
from resume.wait import HOUR, Surroundings, Waiting, wait_beside_loop
from state.location import Location
from store.locate import find_devices
from tests.forge import SWAP, header_page
from tests.tools import failing, wait_until
from tests.unit.booting import PAGES, Boot, Clock

SWAP_PAGE = header_page(PAGES, signature=SWAP)
SPEC = "UUID=11111111-2222-3333-4444-555555555555"


def waits(boot: Boot, words: str = "", command: list[str] | None = None) -> bool:
    """Wait for SPEC with more on the command line, and a command meanwhile; return if it came."""
    request = Request(f"resume={SPEC} {words}")
    try:
        return bool(Waiting(request, boot.console.append, command, boot.clock).first())
    except DeviceNotFoundError:
        return False


def test_an_ordinary_boot_waits_for_nothing_and_says_nothing(boot: Boot) -> None:
    path = boot.device(SPEC, first=SWAP_PAGE)
    outcome = boot.resume(f"quiet resume={SPEC}")
    assert outcome.message == f"no image: {path} is swap without an image"
    outcome = boot.resume("quiet", Location(SPEC))
    assert outcome.message == f"no image: {path} is swap without an image"
    assert (boot.console, boot.said, boot.clock.passed, boot.clock.settled) == ([], [], 0, 0)


@dataclass(frozen=True, slots=True)
class Scene:
    """What happens at a boot, in seconds from the first look on, and when the waiting is over."""

    words: str
    over: float
    comes: float | None = None
    """When the device is there."""
    asked: tuple[float, float] | None = None
    """From when to when a passphrase is asked for."""
    began: float = 100
    said: float = 10


SCENES = {
    "it never comes": Scene("", 10),
    "a limit": Scene("torpor.timeout=3", 3, said=3),
    "no time": Scene("torpor.timeout=0", 0, said=0),
    "resumewait ends": Scene("resumewait", 300, said=300),
    "resumewait with a limit": Scene("resumewait torpor.timeout=20", 20, said=20),
    "a delay before": Scene("resumedelay=4", 14, said=14),
    "a delay passes although it is there": Scene("resumedelay=6", 6, 0, said=16),
    "it comes late": Scene("", 7, 7),
    "typing does not count": Scene("", 64, 64, (2, 60)),
    "a wrong passphrase ends the wait": Scene("", 68, None, (2, 60)),
    "nobody types for more than an hour": Scene("", 39, None, (0, 9999), HOUR - 30),
}


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_how_long_a_boot_waits(boot: Boot, scene: Scene) -> None:
    clock = boot.clock
    clock.seconds = clock.began = scene.began
    if scene.asked:
        clock.at |= {scene.asked[0]: clock.ask, scene.asked[1]: clock.answer}
    if scene.comes is not None:
        path = boot.device()
        clock.at[scene.comes] = lambda: boot.names.update({SPEC: path})
    clock.happen()
    assert waits(boot, scene.words) == (scene.comes is not None)
    assert clock.passed == scene.over
    assert boot.console == [f"waiting up to {scene.said} s for {SPEC}"] * bool(scene.said)


def test_what_names_no_device_is_not_waited_for(
    boot: Boot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait, "find_devices", find_devices)
    assert "'nonsense' does not name a device" in boot.resume("resume=nonsense").message
    assert boot.clock.passed == 0


def test_without_a_name_udev_and_questions_are_waited_for(boot: Boot) -> None:
    boot.clock.ask()
    boot.clock.at[60] = boot.clock.answer
    assert isinstance(boot.resume().error, NoImageError)
    assert (boot.clock.passed, boot.clock.settled, boot.console) == (60, 1, [])
    boot.clock.ask()
    boot.clock.seconds = HOUR
    boot.resume()
    assert boot.clock.seconds == HOUR


def test_the_command_runs_while_it_waits(boot: Boot) -> None:
    assert not waits(boot, "", ["block", "all"])
    assert boot.clock.called == [["block", "all", SPEC]] * 10
    boot.device(SPEC)
    assert waits(boot, "", ["block", "all"])
    assert len(boot.clock.called) == 10


def test_the_command_is_not_called_for_ever(boot: Boot) -> None:
    waits(boot, "resumewait", ["block"])
    assert len(boot.clock.called) == wait.MOST_CALLS == 15


def test_events_do_not_make_the_command_run_more_often(
    boot: Boot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boot.clock, "pause", lambda _seconds: Clock.pause(boot.clock, 0.25))
    waits(boot, "torpor.timeout=4", ["block"])
    assert len(boot.clock.called) == 4


def test_a_command_that_blocks_does_not_use_up_the_time(boot: Boot) -> None:
    """cryptroot asks for a passphrase in it: here for a minute, then the device is there."""

    def ask() -> None:
        boot.clock.seconds += 60 if len(boot.clock.called) == 1 else 0

    path = boot.device()
    boot.clock.on_call = ask
    boot.clock.at[65] = lambda: boot.names.update({SPEC: path})
    assert waits(boot, "", ["block"])


def test_the_guards_devices_have_all_of_the_time_anew(boot: Boot) -> None:
    """An image is lost if one is missed, and a slow one comes with a slow machine."""
    waiting = Waiting(Request(f"resume={SPEC}"), boot.console.append, None, boot.clock)
    with pytest.raises(DeviceNotFoundError):
        waiting.first()
    waiting.anew()
    while waiting.more():
        pass
    assert boot.clock.passed == 20


def beside(boot: Boot, text: str = f"resume={SPEC} torpor.timeout=5") -> None:
    wait_beside_loop(Request(text), boot.console.append, boot.clock)


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be the process that goes on."""
    monkeypatch.setattr(os, "fork", lambda: 0)


@pytest.mark.usefixtures("forked")
def test_beside_a_loop_only_its_turns_count(boot: Boot) -> None:
    """It stands still from 1 to 90, asking: three of these seconds count."""
    turns = [*range(2), *range(90, 100)]
    for second in turns:
        boot.clock.at[second] = lambda: setattr(boot.clock, "turns", boot.clock.seconds)
    boot.clock.turns = 1
    beside(boot)
    assert 90 <= boot.clock.passed <= 93
    assert Path(wait.WAITED).exists()


@pytest.mark.usefixtures("forked")
def test_beside_a_loop_that_is_gone_an_hour_is_the_most(boot: Boot) -> None:
    boot.clock.turns = 1
    beside(boot)
    assert HOUR <= boot.clock.seconds <= HOUR + 5


def test_what_waits_beside_a_loop_goes_on_by_itself(
    boot: Boot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fork", lambda: 4711)
    beside(boot)
    assert boot.clock.passed == 0
    assert Path(wait.WAITER).read_text() == "4711\n"
    assert not Path(wait.WAITED).exists()


@pytest.mark.parametrize("text", [f"resume={SPEC}", "quiet"])
def test_no_process_goes_on_where_there_is_nothing_to_wait_for(
    boot: Boot, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fork", None)
    boot.device(SPEC)
    beside(boot, text)
    assert Path(wait.WAITED).exists()
    assert not Path(wait.WAITER).exists()


@pytest.mark.usefixtures("forked")
def test_beside_a_loop_without_a_name_questions_are_waited_for(boot: Boot) -> None:
    boot.clock.ask()
    boot.clock.at[20] = boot.clock.answer
    beside(boot, "quiet")
    assert boot.clock.passed == 20
    assert Path(wait.WAITED).exists()


def test_what_was_waited_for_is_not_waited_for_again(boot: Boot) -> None:
    """But by the guard, for which nobody has waited."""
    boot.clock.was_waited = True
    outcome = boot.resume(f"resume={SPEC} resumedelay=9 torpor.timeout=7")
    assert outcome.message == f"{SPEC} did not appear within 7 s"
    assert (boot.clock.passed, boot.console) == (0, [])
    path = boot.device(SPEC)
    waiting = Waiting(Request(f"resume={SPEC}"), boot.console.append, None, boot.clock)
    assert waiting.first() == path
    waiting.anew()
    assert waiting.more()


@pytest.mark.usefixtures("forked")
def test_a_server_gets_little_time_once_it_was_waited_for_in_vain(boot: Boot) -> None:
    """It may be there now: a session is at stake."""
    text = "resume=s3+http://127.0.0.1:1/bucket torpor.timeout=9"
    waiting = Waiting(Request(text), boot.console.append, None, boot.clock)
    assert waiting.seconds_for_server == 9
    beside(boot, text)  # no credentials
    assert waiting.seconds_for_server == 3


@pytest.mark.usefixtures("forked")
def test_a_server_gets_all_of_its_time_again_once_it_was_there(
    boot: Boot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "open_head", lambda *_: io.BytesIO())
    text = "resume=s3+http://127.0.0.1:1/bucket"
    beside(boot, text)
    assert Waiting(Request(text), boot.console.append, None, boot.clock).seconds_for_server == 45


def test_real_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a file of systemd's password agents, by processes; an event or time ends a pause."""
    real = Surroundings()
    monkeypatch.setattr(wait, "_QUESTIONS", str(tmp_path / "ask-password"))
    assert not real.is_asking()
    (tmp_path / "ask-password").mkdir()
    (tmp_path / "ask-password/sck.1").touch()
    assert not real.is_asking()
    (tmp_path / "ask-password/ask.1").touch()
    assert real.is_asking()
    monkeypatch.setattr(wait, "TURNS", str(tmp_path / "turns"))
    assert real.turn() == 0
    (tmp_path / "turns").touch()
    first = real.turn()
    os.utime(tmp_path / "turns", (0, first + 1))
    assert real.turn() == first + 1
    began = time.monotonic()
    real.pause(0.1)
    assert began + 0.1 <= real.now() <= time.monotonic()


@pytest.mark.parametrize("place", ["from_netlink", "start", "poll"])
@pytest.mark.parametrize("error", [OSError("no monitor"), ImportError("no libudev")])
def test_where_nobody_tells_of_devices_it_looks_again(
    error: Exception, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a sandbox, on a kernel without netlink: a traceback for a wait would cost the image."""
    monkeypatch.setattr(pyudev.Monitor, place, failing(error))
    around = Surroundings()
    for _ in range(2):
        began = around.now()
        around.pause(0.05)
        assert around.now() - began >= 0.05


@pytest.mark.parametrize("name", ["cryptsetup", "systemd-cryptsetup"])
def test_a_process_that_asks_is_known_by_its_name(name: str, tmp_path: Path) -> None:
    program = shutil.copy(shutil.which("sleep") or "", tmp_path / name)
    with subprocess.Popen([program, "60"]) as process:
        try:
            wait_until(Surroundings().is_asking)
        finally:
            process.kill()
    assert not Surroundings().is_asking()


def test_a_program_is_called_in_an_environment_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with the libraries of a frozen program; one that is missing is no error."""
    monkeypatch.setenv("LD_LIBRARY_PATH", "/usr/lib/torpor/resume/_internal")
    monkeypatch.setenv("KEPT", "it is")
    script = tmp_path / "script"
    script.write_text(f'#!/bin/sh\necho "$* $KEPT ${{LD_LIBRARY_PATH-}}" >>{tmp_path}/called\n')
    script.chmod(0o755)
    Surroundings().call([str(script), "local-block", SPEC])
    Surroundings().call([str(tmp_path / "missing")])
    assert (tmp_path / "called").read_text() == f"local-block {SPEC} it is \n"
    assert programs.call(["sh", "-c", "exit 3"]) == 3
