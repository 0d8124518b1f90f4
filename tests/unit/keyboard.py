"""A terminal of a test, with somebody before it."""

import os
import termios
import threading
import time
import tty

from linux.waiting import readable

_LFLAG = 3


class Keyboard:
    """A pty, whose other end is a terminal at `path`; what it shows is `shown`."""

    def __init__(self) -> None:
        self._ours, self._terminal = os.openpty()
        self.path = os.ttyname(self._terminal)
        self.before = self.settings()
        self.shown = b""
        self.showed_typing: list[bool] = []
        """At each question, whether the terminal would have shown what is typed then."""
        self._users: list[threading.Thread] = []

    def close(self) -> None:
        for user in self._users:
            user.join()
        os.close(self._ours)
        os.close(self._terminal)

    def settings(self) -> list[object]:
        return list(termios.tcgetattr(self._terminal))

    def make_raw(self) -> None:
        tty.setraw(self._terminal)
        self.before = self.settings()

    def stop_output(self) -> None:
        termios.tcflow(self._terminal, termios.TCOOFF)

    def types(self, *answers: bytes) -> None:
        """Type an answer to each question, which ends with a colon and a space."""
        self._users.append(threading.Thread(target=self._answer, args=answers))
        self._users[-1].start()

    def _answer(self, *answers: bytes) -> None:
        for answer in answers:
            self.await_question()
            os.write(self._ours, answer)

    def await_question(self) -> None:
        end, shown = time.monotonic() + 10, b""
        while not shown.endswith(b": ") and time.monotonic() < end:
            shown += self._read(0.1)
        self.showed_typing.append(bool(termios.tcgetattr(self._terminal)[_LFLAG] & termios.ECHO))

    def look(self) -> str:
        """Return all that was shown."""
        for user in self._users:
            user.join()
        while self._read(0.1):
            pass
        return self.shown.decode()

    def _read(self, seconds: float) -> bytes:
        if not readable(self._ours, seconds):
            return b""
        read = os.read(self._ours, 4096)
        self.shown += read
        return read

    def next_line(self, typed: bytes) -> bytes:
        """Return what the next reader of the terminal gets, for whom this is typed."""
        os.write(self._ours, typed)
        return os.read(self._terminal, 4096)

    def is_left(self) -> bool:
        """Return whether the next reader of the terminal would have something."""
        return readable(self._terminal, 0)
