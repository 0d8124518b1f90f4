"""What the resumer costs a boot that has nothing to resume, and an initramfs that holds it."""

import subprocess
import sys
from pathlib import Path

from bench.figure import Bar, Figure, print_table
from bench.measure import Rounds, command, in_turn, median_seconds, peak_mib, seconds
from vm.disks import swap_disk
from vm.host import BUILD
from vm.tree import Tree

RESUMER = BUILD / "torpor-resume"
STARTS = 21
NO_IMAGE = 3
SWAP_MIB = 64
LEVELS = {"initramfs-tools": 9, "dracut": 15, "the most": 19}
"""What the generators give to zstd unless told otherwise."""

TIME_BAR = Bar(40, 20)
MEMORY_BAR = Bar(24, None)
SIZE_BAR = Bar(8, 5)


def measure(folder: Path) -> tuple[list[Figure], dict[str, object]]:
    """Start the resumer on a swap without an image, and pack what an initramfs needs of it."""
    swap = folder / "swap"
    swap_disk(swap, SWAP_MIB)
    cmdline = f"resume={swap}"
    rounds = in_turn(
        {
            "torpor-resume": command(
                RESUMER / "torpor-resume", "--dry-run", "--cmdline", cmdline, status=NO_IMAGE
            ),
            "python -I -S -c pass": command(sys.executable, "-I", "-S", "-c", "pass"),
        },
        STARTS,
    )
    _print_starts(rounds)
    runs = rounds["torpor-resume"]
    bare = rounds["python -I -S -c pass"]
    unpacked, sizes = _added(folder / "needs.cpio")
    figures = [
        Figure("resumer, no image: wall", [1000 * s for s in seconds(runs)], "ms", TIME_BAR),
        Figure("resumer, no image: CPU", [1000 * run.cpu_seconds for run in runs], "ms"),
        Figure("resumer, no image: peak", [run.rss_mib for run in runs], "MiB", MEMORY_BAR),
        Figure("resumer, no image: bytes read", [run.read_kib for run in runs], "KiB"),
        Figure(
            "resumer, no image / bare Python",
            [run.seconds / other.seconds for run, other in zip(runs, bare, strict=True)],
        ),
        Figure("added to an initramfs, unpacked", [unpacked], "MiB"),
    ]
    for generator, level in LEVELS.items():
        name = f"added to an initramfs, zstd -{level} ({generator})"
        bar = SIZE_BAR if generator == "initramfs-tools" else None
        figures.append(Figure(name, [sizes[level]], "MiB", bar))
    return figures, {name: seconds(runs) for name, runs in rounds.items()}


def _print_starts(rounds: Rounds) -> None:
    rows = [
        [
            name,
            f"{1000 * median_seconds(runs):.1f}",
            f"{peak_mib(runs):.1f}",
            f"{runs[0].read_kib:.0f}",
        ]
        for name, runs in rounds.items()
    ]
    title = f"starts, {STARTS} in turn"
    print_table(title, ["command", "median, ms", "peak, MiB", "read, KiB"], rows)


def _added(archive: Path) -> tuple[float, dict[int, float]]:
    """Return MiB of all that is in torpor-resume.needs as a cpio archive, and by zstd's level.

    All of it, even what most initramfs contain anyway: the C library and the loader.
    """
    tree = Tree()
    tree.program("/usr/lib/torpor/resume", RESUMER)
    with archive.open("wb") as file:
        tree.write_cpio(file)
    sizes = {level: _packed(archive, level) / (1 << 20) for level in LEVELS.values()}
    return archive.stat().st_size / (1 << 20), sizes


def _packed(archive: Path, level: int) -> int:
    done = subprocess.run(
        ["zstd", "-q", f"-{level}", "-c", archive], stdout=subprocess.PIPE, check=True
    )
    return len(done.stdout)
