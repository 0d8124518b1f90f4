"""The working set that waits for its replay, and how the last replay went; both for this boot.

The writer leaves it after a resume, the resumer where it refuses the image that it came from.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from typing import NamedTuple, Self

from errors import StateError
from format.working_set import MAX_FILE_SIZE, PAGES_IN_MIB, build_file, parse_file
from linux import tasks
from state.files import read_bytes, remove, write_bytes, write_text
from state.record import read_fields

WAITING_PATH = "/run/torpor/workingset"
REPLAY_PATH = "/run/torpor/replay.json"


def save_working_set(section: bytes, path: str | None = None) -> None:
    """Keep it. Raises UnreadableError."""
    write_bytes(path or WAITING_PATH, build_file(section))


def read_working_set(path: str | None = None) -> bytes | None:
    """Return the section's bytes, None where there is no file. Raises a TorporError."""
    data = read_bytes(path or WAITING_PATH, MAX_FILE_SIZE)
    return None if data is None else parse_file(data)


def forget_working_set() -> None:
    """Remove the one that waits, if there is one. Raises UnreadableError."""
    remove(WAITING_PATH)


class ReplayOutcome(StrEnum):
    """How far a replay got."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    """By itself, or by a signal: the reason says."""
    KILLED = "killed"
    """It was running, and its process is there no more."""


class ReplayRecord(NamedTuple):
    """The last replay of this boot. Pages are of 4096 bytes."""

    outcome: ReplayOutcome
    begun: float
    """Seconds since 1970, UTC."""
    seconds: float
    """How long it took, 0 while it runs."""
    reason: str = ""
    """Why it was stopped."""
    files: Mapping[str, int] = {}
    """recorded, restored and skipped."""
    file_pages: Mapping[str, int] = {}
    """recorded, resident (in memory already), restored and skipped."""
    processes: Mapping[str, int] = {}
    """recorded and skipped."""
    process_pages: Mapping[str, int] = {}
    """As file_pages."""
    skipped: Mapping[str, int] = {}
    """Files, by the reason."""
    pid: int = 0
    started: int = 0
    """Who brings it back, while it runs: field `starttime` of /proc/PID/stat."""

    def __str__(self) -> str:
        if self.outcome == ReplayOutcome.RUNNING:
            return "the working set is being brought back"
        if self.outcome == ReplayOutcome.KILLED:
            return "the working set was being brought back when that was killed"
        words = [f"{_share(self.file_pages)} of {self.files['recorded']} files"]
        words.append(f"{_share(self.process_pages)} of {self.processes['recorded']} processes")
        text = f"working set: {', '.join(words)} in memory again after {self.seconds:.1f} s"
        if self.files["skipped"]:
            reasons = ", ".join(f"{count} {reason}" for reason, count in self.skipped.items())
            text += f"; files left alone: {reasons}"
        if self.processes["skipped"]:
            text += f"; {self.processes['skipped']} processes are gone"
        return f"{text}; {self.reason}" if self.reason else text

    def as_of_now(self) -> Self:
        """Return it as killed if it was running when it was saved, and its process is gone."""
        if self.outcome != ReplayOutcome.RUNNING:
            return self
        with suppress(OSError):
            if tasks.start_of(self.pid) == self.started:
                return self
        return self._replace(outcome=ReplayOutcome.KILLED)

    def save(self, path: str | None = None) -> None:
        """Keep it for this boot. Raises UnreadableError."""
        write_text(path or REPLAY_PATH, json.dumps(self._asdict(), indent=2) + "\n")

    @classmethod
    def read(cls, path: str | None = None) -> Self | None:
        """Return it, None if there was none. Raises StateError, UnreadableError."""
        path = path or REPLAY_PATH
        fields = read_fields(path, cls.__annotations__)
        if fields is None:
            return None
        try:
            record = cls(**{**fields, "outcome": ReplayOutcome(fields["outcome"])})
            str(record)  # all counts are there
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise StateError(f"{path} is not what torpor writes") from error
        return record


def _share(pages: Mapping[str, int]) -> str:
    there = (pages["resident"] + pages["restored"]) // PAGES_IN_MIB
    return f"{there} of {pages['recorded'] // PAGES_IN_MIB} MiB"
