"""Runs whole commands in turn and keeps wall time and peak memory of each run."""

import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

RUNS = 5
SPAWN = Path(__file__).with_name("spawn.py")


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
    spawn = [sys.executable, "-I", "-S", str(SPAWN), *command]
    printed = subprocess.run(spawn, capture_output=True, text=True, check=True).stdout
    seconds, kib = printed.split()
    return float(seconds), int(kib) / 1024
