"""workingset record and replay: what is in memory, taken note of and brought back."""

import argparse
import os
import signal
import time
from dataclasses import asdict

from errors import DamagedError, NoImageError, UnsupportedError
from format.sections.working_set import WorkingSet, build_file
from linux import tasks
from state.working_set import ReplayOutcome, ReplayRecord, forget_working_set, read_working_set
from store.file import FileSink, new_file
from torpor.output import say
from torpor.replayed import describe, in_words
from workingset.record import fit, record
from workingset.replay import replay
from workingset.stats import Stats

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def record_command(arguments: argparse.Namespace) -> None:
    """Write what is in memory now to a file. Raises UnreadableError, StoreRefusedError."""
    begun = time.monotonic()
    whole, section = fit(record(with_paths=not arguments.no_paths))
    seconds = time.monotonic() - begun
    with new_file(arguments.file) as fd:
        FileSink(fd, arguments.file).write([build_file(section)])
    say(f"{describe(whole)}, recorded in {seconds:.1f} s as {len(section) / 1024:.0f} KiB")


def replay_command(arguments: argparse.Namespace) -> None:
    """Bring back what a file, or the last hibernation, has recorded.

    Raises NoImageError, DamagedError, UnsupportedError, UnreadableError.
    """
    say(replayed(_read(arguments.file) if arguments.file else _waiting()))


def _read(path: str) -> WorkingSet:
    try:
        section = read_working_set(path)
        if section is None:
            raise NoImageError("there is no such file")
        return WorkingSet.parse(section)
    except (NoImageError, DamagedError, UnsupportedError) as error:
        raise type(error)(f"{path}: {error}") from error


def _waiting() -> WorkingSet:
    """Return what a hibernation or the resumer has left for this boot, once."""
    try:
        section = read_working_set()
    finally:
        forget_working_set()
    if section is None:
        raise NoImageError("no working set: this boot has none that waits")
    return WorkingSet.parse(section)


def replayed(whole: WorkingSet) -> str:
    """Bring a working set back, keep how it went, and return that in a line."""
    asked: list[int] = []
    for number in _SIGNALS:
        signal.signal(number, lambda number, _frame: asked.append(number))
    now, begun = time.time(), time.monotonic()
    pid = os.getpid()
    ReplayRecord(ReplayOutcome.RUNNING, now, 0, pid=pid, started=tasks.start_of(pid)).save()
    stats = Stats()
    reason = replay(whole, lambda: bool(asked), stats)
    seconds = time.monotonic() - begun
    outcome = ReplayOutcome.STOPPED if reason else ReplayOutcome.DONE
    kept = ReplayRecord(
        outcome,
        now,
        round(seconds, 3),
        reason,
        {
            "recorded": stats.files,
            "restored": stats.restored_files,
            "skipped": sum(stats.skipped_files.values()),
        },
        asdict(stats.file_pages) | {"skipped": stats.file_pages.skipped},
        {"recorded": stats.processes, "skipped": stats.skipped_processes},
        asdict(stats.process_pages) | {"skipped": stats.process_pages.skipped},
        {str(why): count for why, count in stats.skipped_files.items()},
    )
    kept.save()
    return in_words(kept)
