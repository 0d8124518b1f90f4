"""A terminal or the console, to ask at: termios(3), Documentation/driver-api/tty/n_tty.rst.

Nothing here waits for a terminal that takes no output, as a serial line without anybody may be.
"""

import copy
import os
import signal
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from linux.line import one_line
from linux.open_file import OpenFile
from linux.waiting import readable

CONSOLE = "/dev/console"
TERMINAL = "/dev/tty"
"""The one that controls this process."""

_INPUT, _LOCAL, _CHARACTERS = 0, 3, 6
"""Places in what tcgetattr returns."""
_CONTROL_C = b"\x03"
_LONGEST = 4096
"""Bytes of a line: the kernel drops what is typed behind them (drivers/tty/n_tty.c)."""


class Terminal(OpenFile):
    """A terminal that is open, and that has its settings of before once it is closed.

    What was typed and not read by then is gone: the next reader is not given half a passphrase.
    """

    def __init__(self, path: str) -> None:
        """Raise OSError if it cannot be opened or is no terminal."""
        flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
        super().__init__(os.open(path, flags))
        try:
            with _as_os_error(path):
                self._before = termios.tcgetattr(self.fd)
        except OSError:
            os.close(self.fd)
            raise
        self._path = path

    def close(self) -> None:
        """Put the settings back and close it."""
        try:
            with suppress(termios.error):  # it was unplugged
                termios.tcflush(self.fd, termios.TCIFLUSH)
                termios.tcsetattr(self.fd, termios.TCSANOW, self._before)
        finally:
            super().close()

    def hide(self) -> None:
        """Show nothing of what is typed from now on, and let no key send a signal.

        Control-C ends a line instead. Raises OSError.
        """
        settings = copy.deepcopy(self._before)
        settings[_INPUT] |= termios.ICRNL
        shown = termios.ECHO | termios.ECHONL | termios.ISIG
        settings[_LOCAL] = settings[_LOCAL] & ~shown | termios.ICANON
        settings[_CHARACTERS][termios.VEOL] = _CONTROL_C
        with _as_os_error(self._path):
            termios.tcflush(self.fd, termios.TCIFLUSH)
            termios.tcsetattr(self.fd, termios.TCSANOW, settings)

    def write(self, text: str) -> None:
        """Write a text as far as the terminal takes it at once."""
        with suppress(OSError):
            os.write(self.fd, text.encode(errors="replace"))

    def line(self, seconds: float | None) -> bytes | None:
        """Return the next line, without its end; None if none comes in that time.

        None as well for Control-C, for Control-D alone, and of a terminal that is gone.
        """
        end = None if seconds is None else time.monotonic() + seconds
        while readable(self.fd, None if end is None else end - time.monotonic()):
            try:
                line = os.read(self.fd, _LONGEST)
            except BlockingIOError:
                continue
            except OSError:
                return None
            return None if not line or line.endswith(_CONTROL_C) else line.removesuffix(b"\n")
        return None


@contextmanager
def _as_os_error(path: str) -> Iterator[None]:
    try:
        yield
    except termios.error as error:
        raise OSError(*error.args, path) from error


def read_hidden(path: str, prompt: str, seconds: float | None = None) -> bytes | None:
    """Ask at the terminal `path` for a line that it does not show; see Terminal.line.

    Raises OSError if it cannot be opened or is no terminal.
    """
    with Terminal(path) as terminal:
        terminal.hide()
        terminal.write(f"{one_line(prompt)}: ")
        try:
            return terminal.line(seconds)
        finally:
            terminal.write("\n")


@contextmanager
def ended_in_order() -> Iterator[None]:
    """Let a signal that would end this process raise SystemExit, so that `finally` is run."""
    numbers = [one for one in (signal.SIGHUP, signal.SIGTERM) if _ends(one)]
    for number in numbers:
        signal.signal(number, _raise_exit)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _ends(number: signal.Signals) -> bool:
    return signal.getsignal(number) is signal.SIG_DFL


def _raise_exit(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)
