"""pack, verify and unpack beside lz4 and zstd, and beside what memory and codec allow."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.figure import Bar, Figure, print_table
from bench.measure import (
    Job,
    Rounds,
    Run,
    command,
    in_turn,
    largest,
    median_cpu,
    median_seconds,
    peak_mib,
    run_measured,
    seconds,
)
from bench.stream import real_stream
from vm.host import BUILD

TORPOR = BUILD / "torpor/torpor"
OTHER_MIB = 512
"""Of noise, and of zeros."""

PACK_BAR = Bar(0.75, 0.55)
VERIFY_BAR = Bar(0.65, 0.5)
SHARE_BAR = Bar(0.8, 0.95, at_least=True)
MEMORY_BAR = Bar(64, 40)


def measure(folder: Path) -> tuple[list[Figure], dict[str, object]]:
    """Compare over each kind of stream; return the figures and all that was measured.

    `folder` is on a tmpfs: no disk takes part. The bars are for the real stream.
    """
    figures: list[Figure] = []
    report: dict[str, object] = {}
    stream, image, packed = folder / "stream", folder / "image", folder / "packed"
    for kind in ("real", "noise", "zeros"):
        if kind == "real":
            shutil.copyfile(real_stream(), stream)
        else:  # noise, which no codec makes smaller, or zeros; no holes, a snapshot has none
            block = os.urandom if kind == "noise" else bytes
            with stream.open("wb") as file:
                file.writelines(block(1 << 20) for _ in range(OTHER_MIB))
        rounds = in_turn(_jobs(stream, image, packed))
        size = stream.stat().st_size
        stored = image.stat().st_size
        _print_rounds(f"{kind}: {size / 1e6:.0f} MB in {stored / 1e6:.0f} MB", size, rounds)
        figures += _figures(kind, rounds)
        report[kind] = {
            "stream_bytes": size,
            "image_bytes": stored,
            "seconds": {name: seconds(runs) for name, runs in rounds.items()},
            "cpu_seconds": {
                name: [run.cpu_seconds for run in runs] for name, runs in rounds.items()
            },
            "peak_mib": {name: peak_mib(runs) for name, runs in rounds.items()},
        }
    return figures, report


def _jobs(stream: Path, image: Path, packed: Path) -> dict[str, Job]:
    """Return the commands; unpack and lz4 -d write to /dev/null."""
    zst = packed.with_suffix(".zst")
    return {
        "torpor pack": _anew(image, command(TORPOR, "pack", stream, image)),
        "lz4 -1": _anew(packed, command("lz4", "-1", stream, packed)),
        "zstd -1 -T2": _anew(zst, command("zstd", "-1", "-T2", stream, "-o", zst)),
        "limit of pack": _limit("encode", stream),
        "torpor verify": command(TORPOR, "verify", image),
        "lz4 -t": command("lz4", "-t", packed),
        "limit of verify": _limit("decode", image),
        "torpor unpack": command(TORPOR, "unpack", image, "-"),
        "lz4 -d": command("lz4", "-d", "-c", packed),
        "torpor inspect": command(TORPOR, "inspect", image),
    }


def _anew(output: Path, job: Job) -> Job:
    """Take away what the command wrote the last time, before its time begins.

    torpor pack keeps it until the new image is whole, and would write to memory that nobody has
    used yet: in a virtual machine that took it two seconds.
    """

    def run() -> Run:
        output.unlink(missing_ok=True)
        return job()

    return run


def _limit(what: str, path: Path) -> Job:
    return lambda: run_measured([sys.executable, "-m", "bench.limit", what, str(path)])


def _print_rounds(title: str, size: int, rounds: Rounds) -> None:
    rows = [
        [
            name,
            f"{median_seconds(runs):.2f}",
            f"{min(seconds(runs)):.2f} to {max(seconds(runs)):.2f}",
            f"{size / 1e6 / median_seconds(runs):.0f}",
            f"{median_cpu(runs):.2f}",
            f"{peak_mib(runs):.0f}",
        ]
        for name, runs in rounds.items()
    ]
    print_table(title, ["command", "median, s", "spread, s", "MB/s", "CPU, s", "peak, MiB"], rows)


def _figures(kind: str, rounds: Rounds) -> list[Figure]:
    bars = (PACK_BAR, VERIFY_BAR, SHARE_BAR, MEMORY_BAR) if kind == "real" else (None,) * 4
    pack, verify = rounds["torpor pack"], rounds["torpor verify"]
    start = rounds["torpor inspect"]
    ours = [runs for name, runs in rounds.items() if name.startswith("torpor")]
    return [
        Figure(f"{kind}: pack / lz4 -1", _ratios(pack, rounds["lz4 -1"]), bar=bars[0]),
        Figure(f"{kind}: pack / zstd -1 -T2", _ratios(pack, rounds["zstd -1 -T2"])),
        Figure(f"{kind}: verify / lz4 -t", _ratios(verify, rounds["lz4 -t"]), bar=bars[1]),
        Figure(f"{kind}: unpack / lz4 -d", _ratios(rounds["torpor unpack"], rounds["lz4 -d"])),
        Figure(
            f"{kind}: pack, share of its limit",
            _shares(rounds["limit of pack"], pack, start),
            bar=bars[2],
        ),
        Figure(
            f"{kind}: verify, share of its limit",
            _shares(rounds["limit of verify"], verify, start),
            bar=bars[2],
        ),
        Figure(f"{kind}: peak of ours", largest(ours), "MiB", bars[3]),
    ]


def _ratios(ours: Sequence[Run], theirs: Sequence[Run]) -> list[float]:
    return [a.seconds / b.seconds for a, b in zip(ours, theirs, strict=True)]


def _shares(limits: Sequence[Run], ours: Sequence[Run], starts: Sequence[Run]) -> list[float]:
    """Return limit / command of each round, the command without its start.

    The start is the median of `torpor inspect`, which opens the same image and reads none of it.
    """
    start = median_seconds(starts)
    return [limit.seconds / (run.seconds - start) for limit, run in zip(limits, ours, strict=True)]
