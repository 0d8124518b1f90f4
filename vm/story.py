"""How a demonstration tells its story."""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vm.disks import MIB

BOLD, DIM, GREEN, RED = "1", "2", "32", "1;31"


class Story:
    """Tells on stdout what is done, part by part; `seconds` has what each took.

    Colors only on a terminal.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._color = sys.stdout.isatty()

    @contextmanager
    def part(self, key: str, title: str) -> Iterator[None]:
        """Announce a part, and time it as `key`."""
        print(self._paint(BOLD, title), flush=True)
        began = time.monotonic()
        yield
        self.seconds[key] = round(time.monotonic() - began, 2)
        print(self._paint(DIM, f"  {self.seconds[key]:.1f} s") + "\n", flush=True)

    def say(self, text: str) -> None:
        """Tell a fact, or the output of a program."""
        for line in text.splitlines():
            print(f"  {line}", flush=True)

    def judge(self, verdicts: Iterable[tuple[bool, str]]) -> bool:
        """Tell how each thing that has to hold came out; return whether all do."""
        verdicts = list(verdicts)
        for good, text in verdicts:
            self.say(f"{self._paint(GREEN, 'ok') if good else self._paint(RED, 'NO')}  {text}")
        return all(good for good, _ in verdicts)

    def report(self, path: Path, facts: dict[str, object]) -> None:
        """Write down what was found, and the seconds with their `total`."""
        self.seconds["total"] = round(sum(self.seconds.values()), 2)
        path.write_text(json.dumps({**facts, "seconds": self.seconds}, indent=2) + "\n")

    def _paint(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._color else text


def mib(size: int) -> str:
    """Return so many bytes as text."""
    return f"{size / MIB:.0f} MiB"
