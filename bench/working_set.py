"""How long a machine with a slow disk takes to be warm again, by Torpor and by the kernel itself.

Each life of a guest hibernates by several ways, one after the other, with the same memory and the
same work over all of it, which begins as soon as the machine is back (vm/guest/working-set.sh).
"""

import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.figure import Bar, Figure, print_table
from vm.kernels import find_kernel
from vm.working_set import DISK, MEMORY_MIB, Warming, live, make_machine

SERIES = ("6.1", "6.12")
LIVES = (("kernel", "off", "on", "min", "max"), ("on", "kernel"))
"""The bar is for `on` and `kernel`; the others are for the choice of a size, once. Later ways find
the memory as the work of those before them has left it: used in random order."""

WARM_BAR = Bar(0.33, None)
RECORD_BAR = Bar(2.0, None)
RESIDENT_BAR = Bar(0.95, None, at_least=True)


def measure(folder_above: Path) -> tuple[list[Figure], dict[str, object]]:
    """Let guests of each kernel hibernate; return the figures and all that was measured."""
    figures: list[Figure] = []
    report: dict[str, object] = {}
    for series in SERIES:
        kernel = find_kernel(series)
        lives = []
        for nth, ways in enumerate(LIVES):
            with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
                log = folder_above / f"working-set-{series}-{nth}.log"
                lives.append(live(make_machine(kernel, Path(name), ways, log), ways))
            print(f"{kernel.release}, life {nth + 1} of {len(LIVES)}: {' '.join(ways)}", flush=True)
        report[kernel.release] = [{way: asdict(each) for way, each in x.items()} for x in lives]
        _print_ways(kernel.release, lives)
        figures += _figures(kernel.release, lives)
    return figures, report


def _figures(release: str, lives: Sequence[dict[str, Warming]]) -> list[Figure]:
    on = [life["on"] for life in lives]
    worked = [life["on"].worked / life["kernel"].worked for life in lives]
    settled = [life["on"].settled / life["kernel"].settled for life in lives]
    whole = [_from_power_on(life["on"]) / _from_power_on(life["kernel"]) for life in lives]
    return [
        Figure(f"{release}, Torpor / kernel: until the work is done", worked, bar=WARM_BAR),
        Figure(f"{release}, Torpor / kernel: until all is in memory", settled, bar=WARM_BAR),
        Figure(f"{release}, Torpor / kernel: the same, from power-on", whole),
        Figure(f"{release}: recording", [each.recorded or 0 for each in on], "s", RECORD_BAR),
        Figure(f"{release}: in memory again", [each.warm_share for each in on], "", RESIDENT_BAR),
    ]


def _from_power_on(warming: Warming) -> float:
    return warming.power_on + warming.settled


def _print_ways(release: str, lives: Sequence[dict[str, Warming]]) -> None:
    rows = []
    for way in LIVES[0]:
        all_of_it = [life[way] for life in lives if way in life]
        numbers = {
            "lives": [float(len(all_of_it))],
            "in use before, %": [float(each.used) for each in all_of_it],
            "saving, s": [each.saved for each in all_of_it],
            "power-on until back, s": [each.power_on for each in all_of_it],
            "files in memory then, MiB": [each.files[1] / 256 for each in all_of_it],
            "processes, MiB": [each.anon[1] / 256 for each in all_of_it],
            "work done, s": [each.worked for each in all_of_it],
            "all in memory, s": [each.settled for each in all_of_it],
            "swapped out since, pages": [float(each.swapped_out) for each in all_of_it],
        }
        rows.append([way, *(f"{statistics.median(values):.4g}" for values in numbers.values())])
    disk = f"{DISK.requests} requests and {DISK.size // 1_000_000} MB a second"
    print_table(
        f"Linux {release}, {MEMORY_MIB} MiB, a disk of {disk}; medians", ["way", *numbers], rows
    )
