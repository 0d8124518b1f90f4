"""pack, verify and unpack beside lz4, zstd and the kernel's way, and beside what is possible."""

import os
import shutil
import sys
from pathlib import Path

from bench import kernel_save, memory
from bench.figure import Bar, Figure, print_table
from bench.measure import (
    Job,
    Rounds,
    Run,
    command,
    in_turn,
    median_cpu,
    median_seconds,
    on_processors,
    peak_mib,
    run_measured,
    seconds,
)
from bench.stream import real_stream
from vm.host import BUILD

TORPOR = BUILD / "torpor/torpor"
OTHER_MIB = 512
"""Of noise, and of zeros."""

TWO_PACK = "torpor pack, on two"
TWO_KERNEL = "kernel stand-in, on two"
TWO_KERNEL_3 = "the same, three threads"
PACK_LIMIT = "limit of pack"
VERIFY_LIMIT = "limit of verify"
SERIAL = "serial pack"
MEMCPY = "memcpy"
POSSIBLE = {PACK_LIMIT, VERIFY_LIMIT, TWO_PACK, TWO_KERNEL, TWO_KERNEL_3, SERIAL, MEMCPY}
"""What the kernel and memory could do with the same; for the real stream only, since of the others
most time is the start."""

PACK_BAR = Bar(0.45, 0.4)
VERIFY_BAR = Bar(0.33, 0.3)
SHARE_BAR = Bar(0.85, 0.95, at_least=True)
KERNEL_BAR = Bar(1.2, 1.4, at_least=True)
SERIAL_BAR = Bar(0.4, 0.6, at_least=True)


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
        is_real = kind == "real"
        jobs = _jobs(stream, image, packed)
        rounds = in_turn({name: jobs[name] for name in jobs if is_real or name not in POSSIBLE})
        size = stream.stat().st_size
        stored = image.stat().st_size
        print_rounds(f"{kind}: {size / 1e6:.0f} MB in {stored / 1e6:.0f} MB", size, rounds)
        figures += _figures(kind, rounds)
        if is_real:
            peaks, report["memory"] = memory.measure(stream, image)
            figures += _shares(rounds) + peaks
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
    """Return the commands, and beside each what is compared with it.

    unpack and lz4 -d write to /dev/null.
    """
    zst = packed.with_suffix(".zst")
    return {
        "torpor pack": anew(image, command(TORPOR, "pack", stream, image)),
        PACK_LIMIT: _limit("pack", stream, stream.parent),
        "lz4 -1": anew(packed, command("lz4", "-1", stream, packed)),
        "zstd -1 -T2": anew(zst, command("zstd", "-1", "-T2", stream, "-o", zst)),
        TWO_PACK: anew(image, command(*on_processors(2), TORPOR, "pack", stream, image)),
        TWO_KERNEL: _kernel_save(stream, kernel_save.threads_for(2)),
        TWO_KERNEL_3: _kernel_save(stream, kernel_save.MOST_THREADS),
        SERIAL: _limit("serial", stream),
        MEMCPY: _limit("memcpy", stream),
        "torpor verify": command(TORPOR, "verify", image),
        VERIFY_LIMIT: _limit("verify", image),
        "lz4 -t": command("lz4", "-t", packed),
        "torpor unpack": command(TORPOR, "unpack", image, "-"),
        "lz4 -d": command("lz4", "-d", "-c", packed),
        "torpor inspect": command(TORPOR, "inspect", image),
    }


def anew(output: Path, job: Job) -> Job:
    """Take away what the command wrote the last time, before its time begins.

    torpor pack keeps it until the new image is whole, and would write to memory that nobody has
    used yet: in a virtual machine that took it two seconds.
    """

    def run() -> Run:
        output.unlink(missing_ok=True)
        return job()

    return run


def _limit(what: str, *paths: Path) -> Job:
    return lambda: run_measured([sys.executable, "-m", "bench.limit", what, *map(str, paths)])


def _kernel_save(stream: Path, threads: int) -> Job:
    program = [*on_processors(2), sys.executable, "-m", "bench.kernel_save"]
    return lambda: run_measured([*program, str(stream), str(stream.parent), str(threads)])


def print_rounds(title: str, size: int, rounds: Rounds) -> None:
    """Print what the commands took for a stream of so many bytes."""
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
    pack, verify = (PACK_BAR, VERIFY_BAR) if kind == "real" else (None, None)
    return [
        Figure(f"{kind}: {ours} / {theirs}", _times(rounds, f"torpor {ours}", theirs), bar=bar)
        for ours, theirs, bar in (
            ("pack", "lz4 -1", pack),
            ("pack", "zstd -1 -T2", None),
            ("verify", "lz4 -t", verify),
            ("unpack", "lz4 -d", None),
        )
    ]


def _shares(rounds: Rounds) -> list[Figure]:
    """Return the speed of ours without its start, where that of others, which have none, is 1.

    The start is that of `torpor inspect`, which opens the same image and reads none of it.
    """
    start = median_seconds(rounds["torpor inspect"])

    def speeds(ours: str, theirs: str) -> list[float]:
        pairs = zip(rounds[ours], rounds[theirs], strict=True)
        return [b.seconds / (a.seconds - start) for a, b in pairs]

    figures = [
        ("pack, share of its limit", speeds("torpor pack", PACK_LIMIT), SHARE_BAR),
        ("verify, share of its limit", speeds("torpor verify", VERIFY_LIMIT), SHARE_BAR),
        ("pack / kernel stand-in, MB/s", speeds(TWO_PACK, TWO_KERNEL), KERNEL_BAR),
        (
            "pack / kernel stand-in of 3 threads, MB/s",
            speeds(TWO_PACK, TWO_KERNEL_3),
            KERNEL_BAR,
        ),
        ("serial pack / memcpy, MB/s", _times(rounds, MEMCPY, SERIAL), SERIAL_BAR),
    ]
    return [Figure(f"real: {name}", values, bar=bar) for name, values, bar in figures]


def _times(rounds: Rounds, ours: str, theirs: str) -> list[float]:
    """Return the time that ours takes, as a whole, where theirs takes 1."""
    pairs = zip(rounds[ours], rounds[theirs], strict=True)
    return [a.seconds / b.seconds for a, b in pairs]
