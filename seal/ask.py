"""Asks for a passphrase or PIN at a boot, by what the initramfs has, and not for ever.

With systemd its agents ask, on the console or by Plymouth; else Plymouth; else askpass of Debian's
cryptsetup-initramfs, which takes an answer from its pipe, too; else we do, on the console. What the
programs do is told by their sources only: systemd's src/shared/ask-password-api.c, Plymouth's
src/client/plymouth.c and src/ply-boot-server.c, debian/askpass.c of Debian's cryptsetup.
"""

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from linux import kmsg, terminal
from linux.line import one_line
from linux.programs import SYSTEMD_RUNS, environment
from linux.root import HOST, Root

_SECONDS = 90.0
"""For all questions of a boot: as long as systemd-ask-password(1) waits unless told otherwise."""

_ASK_PASSWORD = ("/usr/bin/systemd-ask-password", "/bin/systemd-ask-password")
_AGENTS = tuple(
    f"{folder}/systemd/system/systemd-ask-password-{agent}.path"
    for folder in ("/usr/lib", "/lib")
    for agent in ("console", "plymouth")
)
"""Without one of them nobody would see the question."""
_PLYMOUTH = ("/usr/bin/plymouth", "/bin/plymouth")
_ASKPASS = ("/lib/cryptsetup/askpass", "/usr/lib/cryptsetup/askpass")
_CACHE = "cryptsetup"
"""The key in root's keyring in which systemd-cryptsetup keeps what was typed, for 150 seconds."""
_PING = 2.0
_LATE = 1.0
"""Seconds that a program has to end by itself: systemd's takes its question back."""

_Way = Callable[[str, float, bool], bytes | None]
"""Asks by a prompt, in a time, for a passphrase that is not for us alone or for a PIN."""


class Asking:
    """The questions of one boot, which have a time together. Tests have another root."""

    def __init__(
        self, seconds: float = _SECONDS, root: Root = HOST, console: str = terminal.CONSOLE
    ) -> None:
        self._left = seconds
        self._root = root
        self._console = console
        self._reuse = True

    def passphrases(self, prompt: str) -> list[bytes]:
        """Return what to try, one after another: [] where nobody answers or somebody declines.

        The first call asks nothing if passphrases were typed a while ago, for LUKS: it returns
        them. systemd and Plymouth know them, and from us they have what is typed now.
        """
        answer = self._ask(prompt, is_pin=False)
        self._reuse = False
        return answer

    def pin(self, prompt: str) -> bytes | None:
        """Return what was typed, None where nobody answers or somebody declines."""
        return next(iter(self._ask(prompt, is_pin=True)), None)

    def _ask(self, prompt: str, *, is_pin: bool) -> list[bytes]:
        if self._left <= 0:
            return []
        begun = time.monotonic()
        with terminal.ended_in_order():
            answer = self._way()(one_line(prompt), self._left, is_pin)
        self._left -= time.monotonic() - begun
        return [line for line in (answer or b"").split(b"\n") if line]

    def _way(self) -> _Way:
        """Return the way that is there."""
        root = self._root
        if (
            root.exists(SYSTEMD_RUNS)
            and any(map(root.exists, _AGENTS))
            and self._has(_ASK_PASSWORD)
        ):
            return self._by_systemd
        if self._has(_PLYMOUTH) and self._plymouth_runs():
            return self._by_plymouth
        return self._by_askpass if self._has(_ASKPASS) else self._by_console

    def _has(self, paths: Sequence[str]) -> str:
        """Return where the program is, "" if it is not there."""
        found = (path for each in paths if os.access(path := self._root.path(each), os.X_OK))
        return next(found, "")

    def _by_systemd(self, prompt: str, seconds: float, is_pin: bool) -> bytes | None:
        cached = [] if is_pin else [f"--keyname={_CACHE}"]
        if cached and self._reuse:
            cached += ["--accept-cached", "--multiple"]
        options = ["--no-tty", "--id=torpor", f"--timeout={seconds:.1f}"]
        return _answer_of([self._has(_ASK_PASSWORD), *options, *cached, f"{prompt}:"], seconds)

    def _plymouth_runs(self) -> bool:
        return _answer_of([self._has(_PLYMOUTH), "--ping"], _PING) is not None

    def _by_plymouth(self, prompt: str, seconds: float, is_pin: bool) -> bytes | None:
        """Ask by Plymouth, which gives to a command the first of the passphrases that it knows."""
        cached = [] if is_pin or not self._reuse else ["--command=cat"]
        words = ["ask-for-password", f"--prompt={prompt}", *cached]
        return _answer_of([self._has(_PLYMOUTH), *words], seconds)

    def _by_askpass(self, prompt: str, seconds: float, _is_pin: bool) -> bytes | None:
        """Ask by askpass: it needs a terminal, else it would write the passphrase on the console.

        No signal but SIGKILL ends it, and then it leaves the console silent.
        """
        try:
            with terminal.Terminal(self._console) as console:
                os.set_blocking(console.fd, True)
                return _answer_of([self._has(_ASKPASS), f"{prompt}: "], seconds, console.fd)
        except OSError:
            return None
        finally:
            kmsg.show_on_console()

    def _by_console(self, prompt: str, seconds: float, _is_pin: bool) -> bytes | None:
        with suppress(OSError):
            return terminal.read_hidden(self._console, prompt, seconds)
        return None


def _answer_of(argv: list[str], seconds: float, console: int | None = None) -> bytes | None:
    """Return what a program says, None if it fails or has not ended in that time.

    It is ended then. It has the `console` to talk to, else nothing.
    """
    talk = subprocess.DEVNULL if console is None else console
    try:
        child = subprocess.Popen(
            argv, env=environment(), stdin=talk, stdout=subprocess.PIPE, stderr=talk
        )
    except OSError:
        return None
    try:
        answer, _ = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        _end(child)
    return None if child.returncode else answer


def _end(child: "subprocess.Popen[bytes]") -> None:
    """End a program that has not ended, and wait for it only."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(_LATE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    if child.stdout:
        child.stdout.close()
