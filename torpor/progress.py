"""A progress bar on stderr, for what takes more than a second, where somebody looks."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

_PATIENCE = 1.0
"""Seconds without a bar."""


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Yield a function to call with the bytes done so far; `total` is None where not known."""
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
