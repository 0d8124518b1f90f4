"""Where the time of a save and a load goes: phase by phase, thread by thread, here and in a guest.

What is measured is what `bench.probes` replaces by functions that look at the clock. Natively that
is `torpor pack` and `verify` of the real stream, in a guest a hibernation and the resume from it by
the frozen programs, to which a module and a line are added.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import probes
from bench.figure import Bar, Figure, print_table
from bench.hibernation import DATA_MIB, MEMORY_MIB, SWAP_MIB
from bench.measure import RUNS
from bench.stream import mixed_disk, real_stream
from vm.disks import root_disk, swap_disks
from vm.host import ROOT
from vm.initramfs import build_initramfs
from vm.kernels import find_kernel
from vm.machine import Machine
from vm.working_set import sleeps

NATIVE = "native"
SERIES = "6.12"
SLEEPS = 3
"""Of the guest, in one life."""

PYTHON_BAR = Bar(50, None)
"""Microseconds of Python for each chunk."""

_PYTHON = (probes.CHUNK, probes.PYTHON, probes.WAITING)
"""Phases that do no work but Python's."""
ROLES = ("calling thread", "threads that code", "other threads")


@dataclass(frozen=True, slots=True)
class Total:
    """What a phase took in some threads, without the phases within it."""

    measured: int = 0
    """How often the clock was looked at."""
    calls: int = 0
    seconds: float = 0.0
    processor: float = 0.0

    def __add__(self, other: "Total") -> "Total":
        return Total(
            self.measured + other.measured,
            self.calls + other.calls,
            self.seconds + other.seconds,
            self.processor + other.processor,
        )


@dataclass(frozen=True, slots=True)
class Thread:
    """What one thread did, and for how long it was there."""

    role: str
    seconds: float
    phases: dict[str, Total]


@dataclass(frozen=True, slots=True)
class Profile:
    """What was measured of one call of a root."""

    root: str
    seconds: float
    processor: float
    processors: int
    probe: list[float]
    """What a phase adds to the processor's time around it, and to its own."""
    threads: list[Thread]

    @classmethod
    def parse(cls, line: str) -> "Profile":
        """Return what a line of bench.probes says."""
        said = json.loads(line)
        threads = [_thread(one, said["seconds"]) for one in said.pop("threads")]
        return cls(**said, threads=threads)

    @property
    def phases(self) -> dict[str, Total]:
        """All phases in all threads, those that take longest first."""
        names = {name for thread in self.threads for name in thread.phases}
        totals = {name: self.total(name) for name in names}
        return dict(sorted(totals.items(), key=lambda item: -item[1].seconds))

    def total(self, phase: str, role: str = "") -> Total:
        """Return what a phase took in the threads of a role, or in all."""
        found = [one.phases.get(phase, Total()) for one in self.threads if role in ("", one.role)]
        return sum(found, Total())

    def lived(self, role: str) -> float:
        """Return the seconds that all threads of a role were there."""
        return sum(one.seconds for one in self.threads if one.role == role)

    @property
    def chunks(self) -> int:
        return self.total(probes.CHUNK).calls

    @property
    def busy(self) -> float:
        """How much of the time of all processors the process had."""
        return self.processor / (self.seconds * self.processors)

    @property
    def python(self) -> float:
        """The seconds of processor that no phase has but Python's, without what probes take."""
        work = sum(one.processor for name, one in self.phases.items() if name not in _PYTHON)
        return self.processor - work - self.cost

    @property
    def cost(self) -> float:
        """The seconds of processor that the probes take, but for those within other phases."""
        around, inside = self.probe
        return sum(
            total.measured * (around + inside if name in _PYTHON else around)
            for name, total in self.phases.items()
        )


def measure(folder: Path, logs: Path) -> tuple[list[Figure], dict[str, object]]:
    """Profile both programs here, in `folder` on a tmpfs, and in a guest; print the tables."""
    figures: list[Figure] = []
    report: dict[str, object] = {}
    release = find_kernel(SERIES).release
    for where, runs in ((NATIVE, _native(folder)), (release, _guest(logs))):
        for root in dict.fromkeys(run.root for run in runs):
            found = [run for run in runs if run.root == root]
            _print_profile(where, _median(found), len(found))
            name = f"{where}, {root}"
            if all(run.chunks for run in found):
                python = [1e6 * run.python / run.chunks for run in found]
                bar = PYTHON_BAR if where == NATIVE else None  # emulated, Python is much slower
                figures.append(Figure(f"{name}: Python for a chunk", python, "µs", bar))
            busy = [100 * run.busy for run in found]
            figures.append(Figure(f"{name}: processors busy", busy, "%"))
            report[name] = [asdict(run) for run in found]
    return figures, report


def _median(runs: Sequence[Profile]) -> Profile:
    """Return the one of the median time, of an even number the quicker one."""
    return sorted(runs, key=lambda run: run.seconds)[(len(runs) - 1) // 2]


def _print_profile(where: str, run: Profile, of: int) -> None:
    title = (
        f"{run.root}, {where}, the median of {of}: {run.seconds:.2f} s, {run.processor:.2f} s of "
        f"processor: {run.processors} processors {run.busy:.0%} busy"
    )
    if run.chunks:
        python, cost = (1e6 * seconds / run.chunks for seconds in (run.python, run.cost))
        title += (
            f"; for each of {run.chunks} chunks {python:.0f} µs of Python, {cost:.0f} of probes"
        )
    roles = [role for role in ROLES if run.lived(role)]
    heads = [f"{role}: {max(1, round(run.lived(role) / run.seconds))}" for role in roles]
    rows = [_row(run, phase, total, roles) for phase, total in run.phases.items()]
    print_table(title, ["phase", "calls", "s", "processor, s", "µs per call", *heads], rows)


def _row(run: Profile, phase: str, total: Total, roles: Sequence[str]) -> list[str]:
    shares = [run.total(phase, role).seconds / run.lived(role) for role in roles]
    per_call = f"{1e6 * total.seconds / total.calls:.1f}" if total.calls else ""
    return [
        phase,
        f"{total.calls}",
        f"{total.seconds:.3f}",
        f"{total.processor:.3f}",
        per_call,
        *(f"{share:.1%}" if share else "" for share in shares),
    ]


def _native(folder: Path) -> list[Profile]:
    """Pack and verify the real stream in turn, once more than counts."""
    stream, image = folder / "stream", folder / "image"
    shutil.copyfile(real_stream(), stream)
    laps = []
    for _ in range(1 + RUNS):
        image.unlink(missing_ok=True)
        laps.append([*_run("pack", stream, image), *_run("verify", image)])
    return [run for lap in laps[1:] for run in lap]


def _run(*words: str | Path) -> list[Profile]:
    command = [sys.executable, "-m", "bench.probes", *map(str, words)]
    said = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    return list(profiles_in(said.splitlines()))


def profiles_in(lines: Iterable[str]) -> Iterator[Profile]:
    """Yield what bench.probes says among other lines."""
    for line in lines:
        if line.startswith(probes.SAYS):
            yield Profile.parse(line.removeprefix(probes.SAYS))


def _guest(logs: Path) -> list[Profile]:
    """Have the guest of bench.hibernation hibernate and resume, and tell of both."""
    kernel = find_kernel(SERIES)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        folder = Path(name)
        early = probed("/usr/lib/torpor/resume", "resume")
        initramfs = build_initramfs(kernel, folder / "initramfs.cpio", files=early)
        root = root_disk(folder / "root.img", files=probed("/usr/lib/torpor", "torpor"))
        data = mixed_disk(folder / "data.img", DATA_MIB)
        disks = [root, data, *swap_disks(folder, SLEEPS, SWAP_MIB)]
        ways = ["torpor"] * SLEEPS
        append = f"scenario=bench ways={','.join(ways)}"
        machine = Machine(kernel, initramfs, disks, logs / "profile.log", append, MEMORY_MIB)
        runs = []
        for sleep in sleeps(machine, ways):
            assert f"returned way={sleep.way} code=0 data-differs=0" in sleep.after.report
            # A life loads, and saves again.
            runs += [run for run in profiles_in(sleep.before.report) if run.root != "load"]
            runs += [run for run in profiles_in(sleep.after.report) if run.root == "load"]
    return runs


def probed(program: str, package: str, output: str = "/dev/ttyS1") -> dict[str, bytes]:
    """Return the files that make a frozen program, installed there, tell its profile to `output`.

    Python takes a source file before the compiled one that PyInstaller left in the same folder.
    """
    inside = f"{program}/_internal"
    main = (ROOT / package / "__main__.py").read_text()
    begin = f"from bench.probes import Probes, into\n\nProbes(into({output!r})).install()\n"
    return {
        f"{inside}/bench/probes.py": Path(probes.__file__).read_bytes(),
        f"{inside}/{package}/__main__.py": f"{main}\n\n{begin}".encode(),
    }


def _thread(said: dict[str, Any], whole: float) -> Thread:
    """Return what is said of a thread; what no phase of it has, it has waited for a job."""
    phases = {name: Total(*numbers) for name, numbers in said["phases"].items()}
    if said["calls"]:
        return Thread(ROLES[0], whole, phases)
    idle = said["seconds"] - sum(total.seconds for total in phases.values())
    phases[probes.WAITING] = phases.get(probes.WAITING, Total()) + Total(seconds=idle)
    role = ROLES[1] if probes.CODING in phases else ROLES[2]
    return Thread(role, said["seconds"], phases)
