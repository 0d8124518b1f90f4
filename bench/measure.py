"""Runs whole commands in turn and keeps wall time and peak memory of each run."""

import os
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

RUNS = 5


@dataclass(frozen=True, slots=True)
class Figure:
    """What the runs of one command took."""

    seconds: list[float]
    rss_mib: float
    """The largest resident set of all runs."""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> str:
        return f"{min(self.seconds):.2f} to {max(self.seconds):.2f}"


def in_turn(commands: Sequence[Sequence[str]], runs: int = RUNS) -> list[Figure]:
    """Run the commands one after the other, `runs` rounds after one to warm up."""
    seconds: list[list[float]] = [[] for _ in commands]
    peaks = [0.0 for _ in commands]
    for lap in range(runs + 1):
        for nth, command in enumerate(commands):
            took, peak = _run(command)
            peaks[nth] = max(peaks[nth], peak)
            if lap:
                seconds[nth].append(took)
    return [Figure(times, peak) for times, peak in zip(seconds, peaks, strict=True)]


def _run(command: Sequence[str]) -> tuple[float, float]:
    """Return wall seconds and peak resident MiB of one run; it has to succeed."""
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return time.monotonic() - begun, usage.ru_maxrss / 1024
