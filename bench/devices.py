"""How fast a guest saves on one, two and four processors, to a device that takes its time.

The device is a null_blk: it takes a request, answers by a timer, many at once, and keeps nothing.
So the time is that of the writer and of the waiting for the device, and no disk's. The guest finds,
when it reads the image back, that the device is good for nothing, and saves again.
"""

import os
import re
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

from bench.figure import Figure, print_table
from bench.hibernation import DATA_MIB, MEMORY_MIB
from bench.stream import MIB, mixed_disk
from format.first_page import empty_store
from vm.disks import blank_disk, root_disk
from vm.initramfs import build_initramfs
from vm.kernels import find_kernel
from vm.machine import Machine, MachineError

SERIES = "6.12"
PROCESSORS = (1, 2, 4)
DELAYS = {"none": 0, "100 µs": 100_000, "1 ms": 1_000_000}
"""Nanoseconds for a request."""
ROUNDS = 3
LIMIT_SECONDS = 900.0

_SAVED = re.compile(
    r"^\[ *(\d+\.\d+)\] torpor: snapshot of (\d+) MiB taken.*?"
    r"^\[ *(\d+\.\d+)\] torpor: \d+ MiB stored as (\d+) MiB",
    re.MULTILINE | re.DOTALL,
)
_DAMAGED = "4"
"""The exit code of an image that the device does not give back."""


@dataclass(frozen=True, slots=True)
class Save:
    """One save: from the snapshot until the device has all of the image."""

    seconds: float
    stream_mb: float
    stored_mb: float

    @property
    def speed(self) -> float:
        """MB of stream in a second."""
        return self.stream_mb / self.seconds


Saves = dict[str, list[Save]]
"""By the name of the delay, a save for each round."""


def measure(logs: Path) -> tuple[list[Figure], dict[str, object]]:
    """Save in a guest of each number of processors; the delays take turns in it."""
    found = {count: _guest(count, logs) for count in PROCESSORS}
    rows = [
        [f"{count}", name, *_medians(saves)]
        for count, by_delay in found.items()
        for name, saves in by_delay.items()
    ]
    title = f"saves by {SERIES} to null_blk, on a host of {os.cpu_count()} processors; medians"
    headings = ["processors", "a request takes", "stream, MB/s", "on disk, MB/s"]
    print_table(title, headings, rows)
    report: dict[str, object] = {
        f"{count} processors": {
            name: [asdict(save) for save in saves] for name, saves in by_delay.items()
        }
        for count, by_delay in found.items()
    }
    return _figures(found), report


def _medians(saves: Sequence[Save]) -> list[str]:
    speeds = [save.speed for save in saves], [save.stored_mb / save.seconds for save in saves]
    return [f"{statistics.median(values):.0f}" for values in speeds]


def _figures(found: dict[int, Saves]) -> list[Figure]:
    """Compare the delays round by round; the numbers of processors, which are guests of their own.

    These only by their medians, against that of one processor.
    """
    figures = []
    for count, by_delay in found.items():
        first, *others = DELAYS
        for name in others:
            pairs = zip(by_delay[name], by_delay[first], strict=True)
            ratios = [slow.speed / fast.speed for slow, fast in pairs]
            figures.append(Figure(f"{count} processors, {name} / no delay: MB/s", ratios))
    alone = statistics.median(save.speed for save in found[1]["none"])
    for count in PROCESSORS[1:]:
        speeds = [save.speed / alone for save in found[count]["none"]]
        figures.append(Figure(f"{count} processors / one: MB/s", speeds))
    return figures


def _guest(processors: int, logs: Path) -> Saves:
    """Let a guest save, all delays in turn; the first round does not count."""
    kernel = find_kernel(SERIES)
    order = list(DELAYS) * (1 + ROUNDS)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        folder = Path(name)
        modules = ["null_blk", "dm_mod"]
        initramfs = build_initramfs(kernel, folder / "initramfs.cpio", modules)
        disks = [
            root_disk(folder / "root.img"),
            mixed_disk(folder / "data.img", DATA_MIB),
            _header_disk(folder / "header.img"),
        ]
        append = f"scenario=devices delays={','.join(str(DELAYS[delay]) for delay in order)}"
        log = logs / f"devices-{processors}.log"
        machine = Machine(kernel, initramfs, disks, log, append, MEMORY_MIB, processors)
        result = machine.run(LIMIT_SECONDS)
    codes = re.findall(r"^saved .* code=(\d+)", "\n".join(result.report), re.MULTILINE)
    saves = saves_in(result.console)
    if codes != [_DAMAGED] * len(order) or len(saves) != len(order):
        raise MachineError(f"{log}: the guest did not save {len(order)} times: {result.report}")
    print(f"{kernel.release}, {processors} processors: {len(order)} saves", flush=True)
    return {name: saves[nth :: len(DELAYS)][1:] for nth, name in enumerate(DELAYS)}


def _header_disk(path: Path) -> Path:
    """Make the beginning of a store, which is all of it that is kept."""
    blank_disk(path, 1)
    with path.open("r+b") as disk:
        disk.write(empty_store(1 << 18, uuid4().bytes))
    return path


def saves_in(console: str) -> list[Save]:
    """Return the saves that a kernel log tells of, in their order."""
    found = []
    for began, stream_mib, ended, stored_mib in _SAVED.findall(console):
        sizes = [int(mib) * MIB / 1e6 for mib in (stream_mib, stored_mib)]
        found.append(Save(float(ended) - float(began), *sizes))
    return found
