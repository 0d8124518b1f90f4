"""What Torpor costs a boot that has nothing to resume, and an initramfs that holds it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.figure import Bar, Figure, print_table
from bench.measure import (
    SPAWN,
    Job,
    Rounds,
    command,
    in_turn,
    median_cpu,
    median_seconds,
    peak_mib,
    run_measured,
    seconds,
)
from vm import memory_root
from vm.disks import blank_disk, swap_disk
from vm.host import BUILD, ROOT, run
from vm.tree import Tree

RESUMER = BUILD / "torpor-resume"
STARTS = 21
SWAP_MIB = 64
LEVELS = {"initramfs-tools": 9, "dracut": 15, "the most": 19}
"""What the generators give to zstd unless told otherwise."""

UUID = "11111111-2222-3333-4444-555555555555"
NAMED = {
    "resume=": (f"quiet resume=UUID={UUID}", ""),
    "the location file": ("quiet", f"resume=UUID={UUID}\n"),
    "nothing": ("quiet", ""),
}
"""What names the swap: a kernel command line, and what torpor enable kept."""

BARE = "python -I -S -c pass"
_SHELLS = {
    "busybox": ["/bin/busybox", "sh"],
    "klibc": ["/usr/lib/klibc/bin/sh"],
    "dash": ["/usr/bin/dash"],
}
_DRACUT = "cancel_wait_for_dev() { :; }; (. /dracut/torpor-wait.sh) && . /dracut/torpor-resume.sh"
_UNIT = "/usr/lib/torpor/resume/torpor-resume; [ $? -ne 7 ]"
HOOKS = {
    "initramfs-tools": (["/scripts/local-premount/0torpor"], ["busybox", "klibc"]),
    "mkinitcpio": (["-c", ". /mkinitcpio/torpor; run_hook"], ["busybox"]),
    "dracut, systemd": (["-c", _UNIT], ["dash"]),
    "dracut, shell": (["-c", _DRACUT], ["dash", "busybox"]),
}
"""What each initramfs runs of ours in all, and in which shells."""

TIME_BAR = Bar(40, 20)
MEMORY_BAR = Bar(24, None)
SIZE_BAR = Bar(8, 5)
GROUP_BARS = {"sealing": ("by sealing", Bar(2, None)), "server": ("by a server", Bar(2.75, None))}
"""What some machines' initramfs hold besides: as the list of it is named, and what is printed."""


def measure(folder: Path) -> tuple[list[Figure], dict[str, object]]:
    """Boot on a swap without an image, and pack what an initramfs needs of the resumer.

    To boot takes root and a loop device.
    """
    rounds = _boots(folder) if os.geteuid() == 0 else {}
    _print_starts(rounds)
    unpacked, sizes = _added(folder / "needs.cpio")
    figures = [*_boot_figures(rounds), Figure("added to an initramfs, unpacked", [unpacked], "MiB")]
    added = {group: _added(folder / f"{group}.cpio", group)[1] for group in GROUP_BARS}
    for generator, level in LEVELS.items():
        name = f"added to an initramfs, zstd -{level} ({generator})"
        is_bound = generator == "initramfs-tools"
        figures.append(Figure(name, [sizes[level]], "MiB", SIZE_BAR if is_bound else None))
        for group, (why, bar) in GROUP_BARS.items():
            more = added[group][level] - sizes[level]
            figures.append(Figure(f"{name}: {why}", [more], "MiB", bar if is_bound else None))
    return figures, {name: seconds(runs) for name, runs in rounds.items()}


def _boots(folder: Path) -> Rounds:
    """Run the hooks as an initramfs does, each in its shells, beside a bare Python."""
    jobs: dict[str, Job] = {BARE: command(sys.executable, "-I", "-S", "-c", "pass")}
    with roots(folder) as places:
        for named, (cmdline, _) in NAMED.items():
            for hook, (words, shells) in HOOKS.items():
                for shell in shells:
                    inside = memory_root.command(places[named], cmdline, *_SHELLS[shell], *words)
                    jobs[f"{named}, {hook} in {shell}"] = _boot(inside)
        return in_turn(jobs, STARTS)


@contextmanager
def roots(folder: Path) -> Iterator[dict[str, Path]]:
    """Yield a root for each way to name the swap, as memory_root.command takes it."""
    swap, other = folder / "swap", blank_disk(folder / "other", 1)
    swap_disk(swap, SWAP_MIB, UUID)
    with loop_device(swap) as of_swap, loop_device(other) as of_others:
        devices = {disk: of_swap if disk == SWAP else of_others for disk in _DISKS}
        places = {named: folder / f"boot-{nth}" for nth, named in enumerate(NAMED)}
        for named, place in places.items():
            memory_root.lay_out(_initramfs(NAMED[named][1]), place, devices)
        yield places


def _boot_figures(rounds: Rounds) -> Iterator[Figure]:
    """Yield for each way to name the swap the figures of the hook that takes the most."""
    for named in NAMED if rounds else ():
        hooks = {name: runs for name, runs in rounds.items() if name.startswith(f"{named}, ")}
        name = max(hooks, key=lambda name: median_seconds(hooks[name]))
        runs, head = hooks[name], f"boot, no image: {name}"
        yield Figure(f"{head}: wall", [1000 * run.seconds for run in runs], "ms", TIME_BAR)
        yield Figure(f"{head}: CPU", [1000 * run.cpu_seconds for run in runs], "ms")
        yield Figure(f"{head}: peak", [run.rss_mib for run in runs], "MiB", MEMORY_BAR)
        ratios = [run.seconds / bare.seconds for run, bare in zip(runs, rounds[BARE], strict=True)]
        yield Figure(f"{head} / bare Python", ratios)


_DISKS = ("sda", "sda1", "sda2", "sdb", "nvme0n1", "nvme0n1p1", "nvme0n1p2", "nvme0n1p3")
SWAP = "sda2"
"""The one of them that is the swap: of two with its UUID neither would be, and each boot wait."""


def _initramfs(location: str) -> Tree:
    """Return what is in it; the kernel knows some disks."""
    tree = memory_root.initramfs_tree(RESUMER, "dash")
    klibc = _SHELLS["klibc"][0]
    for path in (Path(klibc), *Path("/lib").glob("klibc-*.so")):
        tree.copy(str(path), path)
    hooks = ROOT / "initramfs"
    tree.copy("/dracut", hooks / "dracut")
    tree.copy("/mkinitcpio", hooks / "mkinitcpio/hooks")
    tree.copy("/scripts", hooks / "initramfs-tools/scripts")
    for disk in _DISKS:
        tree.file(f"/sys/class/block/{disk}/uevent", f"DEVNAME={disk}\n".encode())
    if location:
        tree.file("/var/lib/torpor/location", location.encode())
    return tree


def _boot(words: list[str | Path]) -> Job:
    around = f"AROUND={sys.executable} -I -S {SPAWN}"
    return lambda: run_measured(["env", around, *map(str, words)], None)


@contextmanager
def loop_device(file: Path) -> Iterator[int]:
    """Yield the number of a block device that is this file."""
    device = run("losetup", "--find", "--show", "--read-only", file).strip()
    try:
        yield os.stat(device).st_rdev
    finally:
        run("losetup", "--detach", device)


def _print_starts(rounds: Rounds) -> None:
    rows = [
        [
            name,
            f"{1000 * median_seconds(runs):.1f}",
            f"{1000 * median_cpu(runs):.1f}",
            f"{peak_mib(runs):.1f}",
            f"{runs[0].read_kib:.0f}",
        ]
        for name, runs in rounds.items()
    ]
    title = f"starts, {STARTS} in turn"
    print_table(title, ["command", "median, ms", "CPU, ms", "peak, MiB", "read, KiB"], rows)


def _added(archive: Path, *groups: str) -> tuple[float, dict[int, float]]:
    """Return MiB of all that is in torpor-resume.needs as a cpio archive, and by zstd's level.

    All of it, even what most initramfs contain anyway: the C library and the loader. With the
    `sealing` group, what is in torpor-resume-sealing.needs, too; with `server` likewise.
    """
    tree = Tree()
    tree.program("/usr/lib/torpor/resume", RESUMER, groups)
    with archive.open("wb") as file:
        tree.write_cpio(file)
    sizes = {}
    for level in LEVELS.values():
        packed = subprocess.check_output(["zstd", "-q", f"-{level}", "-c", archive])
        sizes[level] = len(packed) / (1 << 20)
    return archive.stat().st_size / (1 << 20), sizes
