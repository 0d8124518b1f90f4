"""How much memory pack, verify and unpack take, on two processors and for each further one."""

from collections.abc import Mapping
from pathlib import Path

from bench.figure import Bar, Figure, print_table
from bench.measure import PROCESSORS, Job, command, in_turn, largest, on_processors, peak_mib
from vm.host import BUILD

TORPOR = BUILD / "torpor/torpor"
RUNS = 3
"""The peaks of all runs differ by hundredths."""

TWO_BAR = Bar(40, None)
FURTHER_BAR = Bar(6, None)


def measure(stream: Path, image: Path) -> tuple[list[Figure], Mapping[str, object]]:
    """Return the figures and the peaks of each command; `image` is made anew, of `stream`.

    What a further processor takes is known where there are two.
    """
    counts = sorted({1, min(2, len(PROCESSORS)), len(PROCESSORS)})
    rounds = {count: in_turn(_jobs(stream, image, count), RUNS, 0) for count in counts}
    peaks = {count: largest(list(jobs.values())) for count, jobs in rounds.items()}
    facts = {
        str(count): {name: peak_mib(runs) for name, runs in jobs.items()}
        for count, jobs in rounds.items()
    }
    rows = [[count, *(f"{peak:.1f}" for peak in found.values())] for count, found in facts.items()]
    print_table("peak memory, MiB", ["processors", *next(iter(facts.values()))], rows)
    figures = []
    if 2 in peaks:
        figures.append(Figure("real: peak of ours, two processors", peaks[2], "MiB", TWO_BAR))
    if counts[1:]:
        fewer, most = counts[-2:]
        pairs = zip(peaks[most], peaks[fewer], strict=True)
        values = [(more - less) / (most - fewer) for more, less in pairs]
        figures.append(Figure("real: peak, a further processor", values, "MiB", FURTHER_BAR))
    return figures, facts


def _jobs(stream: Path, image: Path, processors: int) -> dict[str, Job]:
    torpor = [*on_processors(processors), str(TORPOR)]
    return {
        "pack": command(*torpor, "pack", stream, image),
        "verify": command(*torpor, "verify", image),
        "unpack": command(*torpor, "unpack", image, "-"),
    }
