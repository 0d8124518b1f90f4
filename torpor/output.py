"""What the command says: lines and JSON on stdout, remarks and a progress bar on stderr."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from errors import cannot

if TYPE_CHECKING:
    from rich.progress import Progress

_PATIENCE = 1.0
"""Seconds without a bar."""


def say(text: str) -> None:
    """Print a line and see that it is out. Raises UnreadableError, BrokenPipeError."""
    try:
        print(text, flush=True)
    except OSError as error:
        # What cannot be written would be tried again, and complained of, at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        raise cannot("write", "the standard output", error) from error


def print_json(value: object) -> None:
    """Print a value for a script, as `say` does."""
    say(json.dumps(value, indent=2))


def remark(lines: Iterable[str]) -> None:
    """Say on stderr what is left to the user."""
    for line in lines:
        print(f"torpor: {line}", file=sys.stderr)


def warn(message: str, consequence: str) -> None:
    """Say on stderr what may go wrong, and what comes of it."""
    print(f"torpor: warning: {message}\n  {consequence}", file=sys.stderr)


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Yield a function to call with the bytes done so far; `total` is None where not known.

    A bar appears after a second, where stderr is a terminal.
    """
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    bar = _LateBar(what, total)
    try:
        yield bar.update
    finally:
        bar.stop()


class _LateBar:
    def __init__(self, what: str, total: int | None) -> None:
        self._what = what
        self._total = total
        self._begun = time.monotonic()
        self._bar: Progress | None = None

    def update(self, done: int) -> None:
        if self._bar is None and time.monotonic() - self._begun >= _PATIENCE:
            self._bar = _new_bar()
            self._bar.add_task(self._what, total=self._total)
            self._bar.start()
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done)

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def _new_bar() -> "Progress":
    # Imported late: rich takes longer to load than most commands run.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
