"""Record which files and processes are in memory, or bring back what no longer is.

The replay has the lowest priority, and uses free memory only.
"""

import argparse
import signal
import time

from errors import DamagedError, NoImageError, UnsupportedError
from format.working_set import WorkingSet, build_file
from hibernate.signals import STOPPING
from state.working_set import forget_working_set, read_working_set
from store.image import FileSink, new_file
from torpor.output import say
from workingset.record import fit, record
from workingset.replay import replay_and_keep


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what it takes."""
    parser.add_argument(
        "--no-paths", action="store_true", help="record files by their inodes, not their paths"
    )
    parser.add_argument("action", choices=("record", "replay"), help="what to do")
    parser.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        help="the record; replay takes what the last hibernation left by default",
    )
    parser.set_defaults(usage_error=parser.error)


def run(arguments: argparse.Namespace) -> None:
    """Record or replay. Raises NoImageError, DamagedError, UnsupportedError, UnreadableError."""
    if arguments.action == "record":
        if not arguments.file:
            arguments.usage_error("record needs a FILE")
        _record(arguments.file, with_paths=not arguments.no_paths)
        return
    if arguments.no_paths:
        arguments.usage_error("--no-paths is for record")
    whole = _read(arguments.file) if arguments.file else _waiting()
    asked: list[int] = []  # to stop, by a signal
    for number in STOPPING:
        signal.signal(number, lambda number, _frame: asked.append(number))
    say(str(replay_and_keep(whole, lambda: bool(asked))))


def _record(path: str, *, with_paths: bool) -> None:
    """Write what is in memory now to a file."""
    begun = time.monotonic()
    whole, section = fit(record(with_paths=with_paths))
    seconds = time.monotonic() - begun
    with new_file(path) as fd:
        FileSink(fd, path).write(memoryview(build_file(section)))
    say(f"{whole}, recorded in {seconds:.1f} s as {len(section) / 1024:.0f} KiB")


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
