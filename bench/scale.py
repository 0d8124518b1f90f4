"""Whether a large stream is packed as fast as a small one, and in the same memory."""

import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from bench.figure import Bar, Figure, print_table
from bench.measure import (
    Job,
    Rounds,
    Run,
    command,
    in_turn,
    largest,
    median_cpu,
    peak_mib,
    run_command,
)
from bench.stream import real_stream
from format import PAGE_SIZE
from format.pipeline import CHUNK_SIZE, PageBuffer
from format.reader import ImageReader
from format.records import Identity, Superblock
from format.writer import ImageWriter, new_encoders
from store.image import FileSink, new_file, open_image
from vm.host import BUILD

TORPOR = BUILD / "torpor/torpor"
GENERATE = Path(__file__).with_name("generate.py")
GIB = 1 << 30
SHORT = (1, 4)
LONG = (1, 4, 16, 64)
"""GiB of stream."""
OPENINGS = 21

SPEED_BAR = Bar(0.95, 1.0, at_least=True)
MEMORY_BAR = Bar(64, 40)


def measure(folder: Path, sizes: Sequence[int] = SHORT) -> tuple[list[Figure], dict[str, object]]:
    """Pack streams of so many GiB to /dev/null, and open images of as many chunks.

    The stream is the first GiB of the real one, over and over, so that all sizes have the same
    mix in them. `folder` is on a tmpfs.
    """
    source = folder / "stream"
    shutil.copyfile(real_stream(), source)
    jobs = {f"{size} GiB": _packing(source, size) for size in sizes}
    nothing = command(TORPOR, "pack", "/dev/null", "/dev/null")
    nothing()
    rounds = in_turn({"nothing": nothing} | jobs, warm_up=0)  # 64 GiB for nothing take too long
    speeds = {size: _speeds(size, rounds) for size in sizes}
    openings = {size: _openings(folder / "chunks", size * GIB // CHUNK_SIZE) for size in sizes}
    rows = [
        [
            f"{size} GiB",
            f"{statistics.median(speeds[size]):.0f}",
            f"{min(speeds[size]):.0f} to {max(speeds[size]):.0f}",
            f"{median_cpu(rounds[f'{size} GiB']) / size:.2f}",
            f"{peak_mib(rounds[f'{size} GiB']):.1f}",
            f"{statistics.median(openings[size]):.1f}",
        ]
        for size in sizes
    ]
    headings = ["stream", "median, MB/s", "spread, MB/s", "CPU, s/GiB", "peak, MiB", "opening, ms"]
    print_table("pack - /dev/null, without its start", headings, rows)
    report: dict[str, object] = {
        f"{size} GiB": {
            "mb_per_second": speeds[size],
            "cpu_seconds": [run.cpu_seconds for run in rounds[f"{size} GiB"]],
            "peak_mib": [run.rss_mib for run in rounds[f"{size} GiB"]],
            "opening_ms": openings[size],
        }
        for size in sizes
    }
    return _figures(sizes, speeds, rounds, openings), report


def _figures(
    sizes: Sequence[int],
    speeds: dict[int, list[float]],
    rounds: Rounds,
    openings: dict[int, list[float]],
) -> list[Figure]:
    most, least = max(sizes), min(sizes)
    ratios = [a / b for a, b in zip(speeds[most], speeds[least], strict=True)]
    pairs = zip(rounds[f"{most} GiB"], rounds[f"{least} GiB"], strict=True)
    cpu = [(a.cpu_seconds / most) / (b.cpu_seconds / least) for a, b in pairs]
    peaks = largest([rounds[f"{size} GiB"] for size in sizes])
    return [
        Figure(f"MB/s at {most} GiB / at {least} GiB", ratios, bar=SPEED_BAR),
        Figure(f"CPU time of a GiB, of {most} / of {least}", cpu),
        Figure(f"pack, {least} to {most} GiB: peak", peaks, "MiB", MEMORY_BAR),
        Figure(f"opening the index of {most} GiB", openings[most], "ms"),
    ]


def _packing(source: Path, gib: int) -> Job:
    def run() -> Run:
        words = [sys.executable, "-I", "-S", str(GENERATE), str(source)]
        words += [str(gib * GIB), str(GIB)]
        with subprocess.Popen(words, stdout=subprocess.PIPE) as generator:
            assert generator.stdout is not None
            return run_command(
                [str(TORPOR), "pack", "-", "/dev/null"], stdin=generator.stdout.fileno()
            )

    return run


def _speeds(gib: int, rounds: Rounds) -> list[float]:
    """Return MB/s of each round, without what packing an empty stream took in it."""
    pairs = zip(rounds[f"{gib} GiB"], rounds["nothing"], strict=True)
    return [gib * GIB / 1e6 / (run.seconds - empty.seconds) for run, empty in pairs]


def _openings(path: Path, chunk_count: int) -> list[float]:
    """Return milliseconds to open an image of so many chunks of one page."""
    _write_chunks(path, chunk_count)
    times = []
    for _ in range(OPENINGS):
        begun = time.perf_counter()
        with open_image(str(path)) as source:
            ImageReader(source)
        times.append((time.perf_counter() - begun) * 1000)
    return times


def _write_chunks(path: Path, chunk_count: int) -> None:
    identity = Identity("6.1", "#1", "x86_64", "bench", bytes(32), "")
    superblock = Superblock(UUID(int=1), 0, PAGE_SIZE, identity, platform=False)
    left = chunk_count

    def read(buffer: PageBuffer, _at: int) -> int:
        nonlocal left
        left -= 1
        return len(buffer.view) if left >= 0 else 0

    with new_file(str(path)) as fd:
        writer = ImageWriter(FileSink(fd, str(path)), superblock, new_encoders(PAGE_SIZE))
        writer.write_stream(read, lambda _: None)
        writer.finish()
