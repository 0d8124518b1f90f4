"""What the command says: lines and JSON on stdout, remarks and a progress bar on stderr.

Every text is a line, whatever names are in it: see linux/line.py.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from errors import cannot
from linux.line import one_line

if TYPE_CHECKING:
    from rich.progress import Progress

_PATIENCE = 1.0
"""Seconds without a bar."""


def say(text: str) -> None:
    """Print a line and see that it is out. Raises UnreadableError, BrokenPipeError."""
    _print(one_line(text))


def print_json(value: object) -> None:
    """Print a value for a script, as `say` does."""
    import json  # a tenth of the start of most commands, which print none

    _print(json.dumps(value, indent=2).replace("\x7f", r"\u007f"))


def _print(text: str) -> None:
    try:
        print(text, flush=True)
    except OSError as error:
        # What cannot be written would be tried again, and complained of, at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        raise cannot("write", "the standard output", error) from error


def complain(message: str, hint: str = "") -> None:
    """Say on stderr what is wrong, and on a line of its own what the user can do."""
    print(f"torpor: {one_line(message)}", file=sys.stderr)
    if hint:
        print(f"  {one_line(hint)}", file=sys.stderr)


def remark(lines: Iterable[str]) -> None:
    """Say on stderr what is left to the user."""
    for line in lines:
        complain(line)


def warn(message: str, consequence: str) -> None:
    """Say on stderr what may go wrong, and what comes of it."""
    complain(f"warning: {message}", consequence)


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Yield a function to call with the bytes done so far; `total` is None where not known.

    A bar appears after a second, where stderr is a terminal.
    """
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    begun = time.monotonic()
    bar: Progress | None = None

    def update(done: int) -> None:
        nonlocal bar
        if bar is None and time.monotonic() - begun >= _PATIENCE:
            bar = _new_bar()
            bar.add_task(what, total=total)
            bar.start()
        if bar is not None:
            bar.update(bar.task_ids[0], completed=done)

    try:
        yield update
    finally:
        if bar is not None:
            bar.stop()


def _new_bar() -> "Progress":
    # Imported late: rich takes longer to load than most commands run.
    from rich import console
    from rich import progress as rich

    return rich.Progress(
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.DownloadColumn(binary_units=True),
        rich.TransferSpeedColumn(),
        rich.TimeRemainingColumn(),
        console=console.Console(stderr=True),
        transient=True,
    )
