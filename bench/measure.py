"""Runs whole commands in turn and keeps wall time, peak memory and bytes read of each run."""

import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

RUNS = 5
SPAWN = Path(__file__).with_name("spawn.py")
PROCESSORS = sorted(os.sched_getaffinity(0))
"""Those that this process may use."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of a command took."""

    seconds: float
    """Wall time."""
    cpu_seconds: float
    """Processor time of all its threads, which other load does not add to."""
    rss_mib: float
    """The largest resident set."""
    read_kib: float
    """Bytes that read and similar calls returned."""


Job = Callable[[], Run]
Rounds = dict[str, list[Run]]
"""The runs of each job, in the order of the rounds."""


def in_turn(jobs: Mapping[str, Job], runs: int = RUNS, warm_up: int = 1) -> Rounds:
    """Do the jobs in turn, `runs` rounds after `warm_up` rounds that do not count.

    Other load on the machine meets all of them alike.
    """
    rounds: Rounds = {name: [] for name in jobs}
    for lap in range(warm_up + runs):
        for name, job in jobs.items():
            run = job()
            if lap >= warm_up:
                rounds[name].append(run)
    return rounds


def on_processors(count: int) -> list[str]:
    """Return the words in front of a command that let it use so many processors, if there are."""
    return ["taskset", "--cpu-list", ",".join(map(str, PROCESSORS[:count]))]


def command(*words: str | Path) -> Job:
    """Return the job of running a command, which has to succeed."""
    return lambda: run_command([str(word) for word in words])


def run_command(words: Sequence[str], status: int = 0, stdin: int = subprocess.DEVNULL) -> Run:
    """Run a command and measure it."""
    return run_measured([sys.executable, "-I", "-S", str(SPAWN), *words], status, stdin)


def run_measured(
    words: Sequence[str], status: int | None = 0, stdin: int = subprocess.DEVNULL
) -> Run:
    """Run a program that measures and prints what spawn.py prints; None for any exit status."""
    done = subprocess.run(words, stdin=stdin, stdout=subprocess.PIPE, text=True, check=False)
    if status is not None and done.returncode != status:
        raise subprocess.CalledProcessError(done.returncode, words)
    took, cpu, rss_kib, read_bytes = done.stdout.split()
    return Run(float(took), float(cpu), int(rss_kib) / 1024, int(read_bytes) / 1024)


def seconds(runs: Sequence[Run]) -> list[float]:
    return [run.seconds for run in runs]


def median_seconds(runs: Sequence[Run]) -> float:
    return statistics.median(seconds(runs))


def median_cpu(runs: Sequence[Run]) -> float:
    return statistics.median(run.cpu_seconds for run in runs)


def peak_mib(runs: Sequence[Run]) -> float:
    return max(run.rss_mib for run in runs)


def largest(jobs: Sequence[Sequence[Run]]) -> list[float]:
    """Return, for each round, the MiB of the job that took the most."""
    return [max(run.rss_mib for run in lap) for lap in zip(*jobs, strict=True)]
