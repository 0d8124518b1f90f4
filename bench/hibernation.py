"""The same machine with the same memory, hibernated by the kernel itself and by Torpor.

A life of the guest hibernates by each way in turn, in an order that moves on by one from life to
life, each time to a fresh swap. Saving and loading are timed by the kernel log's own clock, what a
user waits for by the host's: from the command until the power is off, and from power-on until a
process answers, with firmware, kernel and initramfs.
"""

import re
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.figure import Bar, Figure, print_table
from bench.stream import mixed_disk
from vm.disks import root_disk, swap_disks
from vm.initramfs import build_initramfs
from vm.kernels import find_kernel
from vm.machine import Machine, MachineError
from vm.working_set import sleeps

WAYS = {"6.1": ("lzo", "torpor"), "6.12": ("lzo", "lz4", "torpor")}
"""How each kernel's guest hibernates; a compressor is the kernel's own (6.1 has but one)."""

LIVES = 5
MEMORY_MIB = 1024
DATA_MIB = 256
SWAP_MIB = 768

SAVE_BAR = Bar(0.55, 0.4)
LOAD_BAR = Bar(0.5, 0.4)
FELT_BAR = Bar(1.0, 0.85)

_TIME = r"^\[ *(\d+\.\d+)\] "
_OFF = r"reboot: Power down"
_KERNEL = (
    (r"PM: (?:hibernation: )?Compressing and saving image data", r"PM: hibernation: Wrote \d+"),
    (r"PM: (?:hibernation: )?Loading and decompressing", r"PM: hibernation: Read \d+ kbytes"),
    (r"PM: hibernation: hibernation entry", _OFF),
)
_TORPOR = (
    (r"torpor: snapshot of \d+ MiB taken", r"torpor: \d+ MiB stored as"),
    (r"torpor-resume: loading", r"Freezing user space processes"),
    (r"torpor: freezing tasks", _OFF),
)
"""The lines between which an image is saved, is loaded, and the machine stands still.

The kernel has no flush of the disk between its two; Torpor's fsync is before the second one.
To load, Torpor has claimed the image and synced that when it freezes the tasks.
"""


@dataclass(frozen=True, slots=True)
class Sleep:
    """One hibernation and the resume from it."""

    snapshot_mb: float
    stored_bytes: int
    """Of swap, that were written to."""
    save_seconds: float
    load_seconds: float
    still_seconds: float
    """From where tasks begin to be frozen until the power was off."""
    off_seconds: float
    """From the command until the power was off."""
    answer_seconds: float
    """From power-on until a process answered that had run before."""


def measure(folder_above: Path) -> tuple[list[Figure], dict[str, object]]:
    """Let guests of each kernel hibernate; return the figures and all that was measured."""
    figures: list[Figure] = []
    report: dict[str, object] = {}
    for series, ways in WAYS.items():
        release, lives = _lives(series, ways, folder_above)
        report[release] = [{way: asdict(sleep) for way, sleep in life.items()} for life in lives]
        _print_sleeps(f"Linux {release}, {LIVES} lives, medians", lives)
        for way in ways[:-1]:
            figures += _compared(release, way, lives)
    return figures, report


def _compared(release: str, way: str, lives: Sequence[dict[str, Sleep]]) -> list[Figure]:
    """Compare Torpor with a compressor of the kernel, life by life; LZO is what the bars name."""
    name = f"{release}, Torpor / kernel {way.upper()}"
    pairs = [(life["torpor"], life[way]) for life in lives]
    save = [(a.save_seconds / a.snapshot_mb) / (b.save_seconds / b.snapshot_mb) for a, b in pairs]
    load = [(a.load_seconds / a.snapshot_mb) / (b.load_seconds / b.snapshot_mb) for a, b in pairs]
    stored = [(a.stored_bytes / a.snapshot_mb) / (b.stored_bytes / b.snapshot_mb) for a, b in pairs]
    still = [a.still_seconds / b.still_seconds for a, b in pairs]
    off = [a.off_seconds / b.off_seconds for a, b in pairs]
    answer = [a.answer_seconds / b.answer_seconds for a, b in pairs]
    bars = (SAVE_BAR, LOAD_BAR, FELT_BAR) if way == "lzo" else (None, None, None)
    return [
        Figure(f"{name}: save, time per MB", save, bar=bars[0]),
        Figure(f"{name}: load, time per MB", load, bar=bars[1]),
        Figure(f"{name}: freeze to power off", still),
        Figure(f"{name}: command to power off", off, bar=bars[2]),
        Figure(f"{name}: power on to first answer", answer, bar=bars[2]),
        Figure(f"{name}: bytes on disk", stored),
    ]


def _print_sleeps(title: str, lives: Sequence[dict[str, Sleep]]) -> None:
    rows = []
    for way in sorted(lives[0]):
        sleeps = [life[way] for life in lives]
        numbers = {
            "MB": [sleep.snapshot_mb for sleep in sleeps],
            "save, ms/MB": [sleep.save_seconds / sleep.snapshot_mb * 1000 for sleep in sleeps],
            "load, ms/MB": [sleep.load_seconds / sleep.snapshot_mb * 1000 for sleep in sleeps],
            "freeze to off, s": [sleep.still_seconds for sleep in sleeps],
            "command to off, s": [sleep.off_seconds for sleep in sleeps],
            "power on to answer, s": [sleep.answer_seconds for sleep in sleeps],
            "on disk, MB": [sleep.stored_bytes / 1e6 for sleep in sleeps],
        }
        rows.append([way, *(f"{statistics.median(values):.1f}" for values in numbers.values())])
    print_table(title, ["way", *numbers], rows)


def _lives(
    series: str, ways: Sequence[str], folder_above: Path
) -> tuple[str, list[dict[str, Sleep]]]:
    """Return the kernel's release and, for each life, its hibernation by each way."""
    kernel = find_kernel(series)
    modules = [way for way in ways if way not in ("lzo", "torpor")]
    lives = []
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        folder = Path(name)
        early = ["kernel-resume.sh"]
        initramfs = build_initramfs(kernel, folder / "initramfs.cpio", modules, early)
        data = mixed_disk(folder / "data.img", DATA_MIB)
        for nth in range(LIVES):
            order = [*ways[nth % len(ways) :], *ways[: nth % len(ways)]]
            disks = [
                root_disk(folder / "root.img"),
                data,
                *swap_disks(folder, len(order), SWAP_MIB),
            ]
            append = f"scenario=bench ways={','.join(order)}"
            log = folder_above / f"{series}-{nth}.log"
            machine = Machine(kernel, initramfs, disks, log, append, MEMORY_MIB)
            lives.append(_life(machine, order))
            print(f"{kernel.release}, life {nth + 1} of {LIVES}: {' '.join(order)}", flush=True)
    return kernel.release, lives


def _life(machine: Machine, order: Sequence[str]) -> dict[str, Sleep]:
    """Hibernate by each way in turn; the memory has to be the same each time."""
    found = {}
    for sleep in sleeps(machine, order):
        assert f"returned way={sleep.way} code=0 data-differs=0" in sleep.after.report
        saved, loaded = sleep.before.console, sleep.after.console
        save, load, still = _TORPOR if sleep.way == "torpor" else _KERNEL
        pages = int(_last(saved, r"Image created \((\d+) pages copied")[1])
        found[sleep.way] = Sleep(
            pages * 4096 / 1e6,
            sleep.stored,
            save_seconds=seconds_between(saved, *save),
            load_seconds=seconds_between(loaded, *load),
            still_seconds=seconds_between(saved, *still),
            off_seconds=sleep.saved,
            answer_seconds=sleep.answered,
        )
    return found


def seconds_between(console: str, begin: str, end: str) -> float:
    """Return the seconds from a line of the kernel log that says `begin` to one that says `end`.

    The last one: a restored kernel says again what it had not yet said when it was saved. The next
    one: the console goes on, and the next hibernation says the same.
    """
    first = _last(console, _TIME + begin)
    last = re.compile(_TIME + end, re.MULTILINE).search(console, first.end())
    if last is None:
        raise MachineError(f"the console never showed {end!r} after {begin!r}")
    return float(last[1]) - float(first[1])


def _last(console: str, pattern: str) -> re.Match[str]:
    found = list(re.finditer(pattern, console, re.MULTILINE))
    if not found:
        raise MachineError(f"the console never showed {pattern!r}")
    return found[-1]
