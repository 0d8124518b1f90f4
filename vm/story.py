"""Tells on stdout what a program does, part by part, with the time each part took."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

BOLD, DIM, GREEN, RED = "1", "2", "32", "1;31"


class Story:
    """A running account; `seconds` has what each part took. Colors only on a terminal."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._began = time.monotonic()
        self._color = sys.stdout.isatty()

    @contextmanager
    def part(self, key: str, title: str) -> Iterator[None]:
        """Announce a part, and time it as `key`."""
        self._print(self._paint(BOLD, title))
        began = time.monotonic()
        yield
        self.seconds[key] = round(time.monotonic() - began, 2)
        self._print(self._paint(DIM, f"  {self.seconds[key]:.1f} s") + "\n")

    def say(self, text: str) -> None:
        """Tell a fact, or the output of a program."""
        for line in text.splitlines():
            self._print(f"  {line}")

    def verdict(self, good: bool, text: str) -> None:
        """Tell how one thing that has to hold came out."""
        self._print(f"  {self._paint(GREEN, 'ok') if good else self._paint(RED, 'NO')}  {text}")

    def end(self) -> float:
        """Record the seconds since the beginning as `total` and return them."""
        self.seconds["total"] = round(time.monotonic() - self._began, 2)
        return self.seconds["total"]

    def _print(self, line: str) -> None:
        print(line, flush=True)

    def _paint(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._color else text
