"""Asking at a boot: by what the initramfs has, without an echo, and never for ever."""

import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from linux import kmsg, libc, terminal
from linux.root import Root
from seal import ask
from seal.ask import Asking
from tests.tools import ROOT
from tests.unit.keyboard import Keyboard

SYSTEMD, PLYMOUTH, ASKPASS = "systemd-ask-password", "plymouth", "askpass"
PLACES = {
    SYSTEMD: "usr/bin/systemd-ask-password",
    PLYMOUTH: "bin/plymouth",
    ASKPASS: "lib/cryptsetup/askpass",
}
AGENT = "usr/lib/systemd/system/systemd-ask-password-console.path"
BOOTED = "run/systemd/system"
SHOW_ON_CONSOLE = kmsg.show_on_console
SHORT = 0.4
"""Seconds in which nobody answers."""


@pytest.fixture
def keyboard() -> Iterator[Keyboard]:
    made = Keyboard()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def console_on(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return what tells how often messages were let on the console again."""
    calls: list[bool] = []
    monkeypatch.setattr(kmsg, "show_on_console", lambda: calls.append(True))
    return calls


class Initramfs:
    """A root with programs that ask; each notes its arguments."""

    def __init__(self, folder: Path, keyboard: Keyboard) -> None:
        self._folder = folder
        self._keyboard = keyboard

    def put(self, name: str, script: str = "printf %s typed") -> None:
        path = self._folder / PLACES[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>{self._folder}/{name}\n{script}\n')
        path.chmod(0o755)
        if name == SYSTEMD:
            self.have(BOOTED, AGENT)

    def have(self, *paths: str) -> None:
        for path in paths:
            (self._folder / path).mkdir(parents=True, exist_ok=True)

    def lose(self, path: str) -> None:
        (self._folder / path).rmdir()

    def words(self, name: str) -> list[str]:
        """Return the arguments that a program had, of all its runs, and forget them."""
        noted = self._folder / name
        found = noted.read_text().splitlines() if noted.exists() else []
        noted.unlink(missing_ok=True)
        return found

    def asking(self, seconds: float = 20.0, console: str = "") -> Asking:
        return Asking(seconds, Root(str(self._folder)), console or self._keyboard.path)


@pytest.fixture
def initramfs(tmp_path: Path, keyboard: Keyboard) -> Initramfs:
    return Initramfs(tmp_path, keyboard)


def test_the_console_does_not_show_what_is_typed(initramfs: Initramfs, keyboard: Keyboard) -> None:
    keyboard.types(b"p\xc3\xa4ss w\xf6rd \n")
    assert initramfs.asking().passphrases("Of \x1b[2J, please") == [b"p\xc3\xa4ss w\xf6rd "]
    assert keyboard.showed_typing == [False]
    assert keyboard.settings() == keyboard.before
    assert keyboard.look() == "Of \\x1b[2J, please: \r\n"


def test_keys_that_edit_the_line(initramfs: Initramfs, keyboard: Keyboard) -> None:
    keyboard.types(b"wrong\x15righd\x7ft\r")
    assert initramfs.asking().pin("PIN") == b"right"


@pytest.mark.parametrize("declined", [b"\x03", b"half\x03", b"\x04", b"\n"])
def test_somebody_declines(declined: bytes, initramfs: Initramfs, keyboard: Keyboard) -> None:
    keyboard.types(declined)
    begun = time.monotonic()
    assert initramfs.asking().passphrases("P") == []
    assert time.monotonic() - begun < 10
    assert keyboard.settings() == keyboard.before
    assert not keyboard.is_left()


def test_a_console_left_raw_is_asked_at_and_left_so(
    initramfs: Initramfs, keyboard: Keyboard
) -> None:
    keyboard.make_raw()
    keyboard.types(b"typex\x7fd\r")
    assert initramfs.asking().passphrases("P") == [b"typed"]
    assert keyboard.settings() == keyboard.before


def test_the_time_of_all_questions_is_bounded(initramfs: Initramfs, keyboard: Keyboard) -> None:
    asking = initramfs.asking(SHORT)
    keyboard.types(b"half a passphr")
    begun = time.monotonic()
    assert asking.passphrases("P") == []
    assert SHORT <= time.monotonic() - begun < 10
    assert keyboard.settings() == keyboard.before
    assert keyboard.next_line(b"others\n") == b"others\n"
    assert asking.passphrases("Another") == []
    assert asking.pin("Another") is None
    assert keyboard.look() == "P: \r\nothers\r\n"


def test_what_one_question_took_the_next_has_not(initramfs: Initramfs, keyboard: Keyboard) -> None:
    initramfs.put(ASKPASS, "sleep 0.5; printf wrong")
    asking = initramfs.asking(0.5 + SHORT)
    assert asking.passphrases("P") == [b"wrong"]
    initramfs.put(ASKPASS, "sleep 60")
    begun = time.monotonic()
    assert asking.passphrases("P") == []
    assert time.monotonic() - begun < 10


def test_a_console_that_takes_no_output(initramfs: Initramfs, keyboard: Keyboard) -> None:
    keyboard.stop_output()
    begun = time.monotonic()
    assert initramfs.asking(SHORT).passphrases("P" * 100_000) == []
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("way", ["", ASKPASS])
@pytest.mark.parametrize("console", ["/dev/null", "/nonexistent"])
def test_no_console(way: str, console: str, initramfs: Initramfs) -> None:
    if way:
        initramfs.put(way)
    assert initramfs.asking(console=console).passphrases("P") == []
    assert initramfs.words(ASKPASS) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("way", ["", ASKPASS])
def test_a_signal_leaves_the_console_as_it_was(
    way: str, number: signal.Signals, initramfs: Initramfs, keyboard: Keyboard, tmp_path: Path
) -> None:
    if way:
        initramfs.put(way, "stty -echo; printf ': ' >&2; exec sleep 60")
    program = (
        "import signal, sys; from linux.root import Root; from seal.ask import Asking; "
        "signal.signal(signal.SIGHUP, signal.SIG_DFL); "  # nohup leaves it ignored
        "Asking(60.0, Root(sys.argv[1]), sys.argv[2]).passphrases('P')"
    )
    command = [sys.executable, "-c", program, str(tmp_path), keyboard.path]
    with subprocess.Popen(command, cwd=ROOT) as process:
        keyboard.await_question()
        process.send_signal(number)
        assert process.wait(10) == 128 + number
    assert keyboard.showed_typing == [False]
    assert keyboard.settings() == keyboard.before


def test_signals_end_the_process_as_before_afterwards() -> None:
    with terminal.ended_in_order():
        assert callable(signal.getsignal(signal.SIGTERM))
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize(
    ("there", "asked"),
    [
        ((SYSTEMD, PLYMOUTH, ASKPASS), SYSTEMD),
        ((PLYMOUTH, ASKPASS), PLYMOUTH),
        ((ASKPASS,), ASKPASS),
    ],
)
def test_the_first_way_that_is_there(
    there: tuple[str, ...], asked: str, initramfs: Initramfs
) -> None:
    for name in there:
        initramfs.put(name)
    assert initramfs.asking().passphrases("P") == [b"typed"]
    assert [name for name in there if initramfs.words(name)] == [asked]


@pytest.mark.parametrize("missing", [BOOTED, AGENT])
def test_systemd_asks_only_where_somebody_would_see_it(missing: str, initramfs: Initramfs) -> None:
    initramfs.put(SYSTEMD)
    initramfs.put(ASKPASS)
    initramfs.lose(missing)
    assert initramfs.asking().passphrases("P") == [b"typed"]
    assert initramfs.words(SYSTEMD) == []


def test_plymouth_asks_only_if_it_runs(initramfs: Initramfs) -> None:
    initramfs.put(PLYMOUTH, "exit 1")
    initramfs.put(ASKPASS)
    assert initramfs.asking().passphrases("P") == [b"typed"]
    assert initramfs.words(PLYMOUTH) == ["--ping"]


def test_systemd_gives_what_was_typed_before_once_only(initramfs: Initramfs) -> None:
    initramfs.put(SYSTEMD, r"printf 'one\ntwo words\n'")
    asking = initramfs.asking(90.0)
    assert asking.passphrases("P\n") == [b"one", b"two words"]
    common = ["--no-tty", "--id=torpor"]
    cached = ["--keyname=cryptsetup"]
    words = initramfs.words(SYSTEMD)
    assert words == [
        *common, "--timeout=90.0", *cached, "--accept-cached", "--multiple", "P\\n:"
    ]  # fmt: skip
    asking.passphrases("P")
    words = [word for word in initramfs.words(SYSTEMD) if not word.startswith("--timeout=")]
    assert words == [*common, *cached, "P:"]


def test_a_pin_is_nobody_elses(initramfs: Initramfs) -> None:
    initramfs.put(SYSTEMD, "echo 1234")
    assert initramfs.asking(90.0).pin("PIN") == b"1234"
    assert initramfs.words(SYSTEMD) == ["--no-tty", "--id=torpor", "--timeout=90.0", "PIN:"]


def test_plymouth_gives_what_was_typed_before_once_only(initramfs: Initramfs) -> None:
    initramfs.put(PLYMOUTH)
    asking, words = initramfs.asking(), ["--ping", "ask-for-password", "--prompt=P"]
    assert asking.passphrases("P") == [b"typed"]
    assert initramfs.words(PLYMOUTH) == [*words, "--command=cat"]
    assert asking.passphrases("P") == [b"typed"]
    assert initramfs.words(PLYMOUTH) == words
    assert initramfs.asking().pin("P") == b"typed"
    assert initramfs.words(PLYMOUTH) == words


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("script", ["exit 1", "printf partly; exit 1", "printf '\\n'"])
def test_no_answer(name: str, script: str, initramfs: Initramfs) -> None:
    ping = '[ "$1" != --ping ] || exit 0\n'
    initramfs.put(name, ping + script)
    assert initramfs.asking().passphrases("P") == []
    assert "P" in "".join(initramfs.words(name))


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("hang", ["exec sleep 60", "trap '' TERM HUP; while :; do sleep 1; done"])
def test_a_program_that_hangs_is_ended(
    name: str,
    hang: str,
    initramfs: Initramfs,
    children: Callable[[], set[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also one that takes no signal, and leaves a process that holds its output open."""
    monkeypatch.setattr(ask, "_LATE", 0.2)
    initramfs.put(name, f'[ "$1" != --ping ] || exit 0\n{hang}')
    begun = time.monotonic()
    assert initramfs.asking(SHORT).passphrases("P") == []
    assert SHORT <= time.monotonic() - begun < 10
    assert children() == set()
    assert initramfs.words(name) != []


def test_plymouth_that_hangs_is_not_asked(
    initramfs: Initramfs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask, "_PING", 0.2)
    initramfs.put(PLYMOUTH, "exec sleep 60")
    initramfs.put(ASKPASS)
    assert initramfs.asking().passphrases("P") == [b"typed"]


def test_a_program_that_cannot_be_started(initramfs: Initramfs, tmp_path: Path) -> None:
    initramfs.put(SYSTEMD)
    (tmp_path / PLACES[SYSTEMD]).write_text("#!/nonexistent\n")
    assert initramfs.asking().passphrases("P") == []


READ = 'stty -echo; { sleep 0.1; printf %s "$1" >&2; } & line=$(head -n 1) && printf %s "$line"'
"""As askpass does it, which puts the echo back, too; it waits before there is anything to read."""


def test_askpass_has_the_console(
    initramfs: Initramfs, keyboard: Keyboard, console_on: list[bool]
) -> None:
    initramfs.put(ASKPASS, f"stty -echo; [ -t 0 ] && [ -t 2 ] && [ ! -t 1 ] || exit 1\n{READ}")
    keyboard.types(b"typed \n")
    assert initramfs.asking().passphrases("P") == [b"typed "]
    assert keyboard.look() == "P: "
    assert keyboard.settings() == keyboard.before
    assert console_on


def test_the_console_is_not_left_silent_by_an_askpass_that_was_killed(
    initramfs: Initramfs, keyboard: Keyboard, console_on: list[bool]
) -> None:
    initramfs.put(ASKPASS, f"trap '' TERM; {READ}")
    assert initramfs.asking(SHORT).passphrases("P") == []
    keyboard.await_question()
    assert keyboard.settings() == keyboard.before
    assert console_on


def test_messages_come_to_the_console_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, ...]] = []

    class Library:
        def klogctl(self, *arguments: object) -> int:
            calls.append(arguments)
            return 0

    monkeypatch.setattr(libc, "libc", Library())
    SHOW_ON_CONSOLE()
    assert calls == [(7, None, 0)]
    assert ctypes.CDLL(None).klogctl, "the C library has it"
