"""How long it takes to record a working set of many files, in a file system of their own.

`measure` starts this module anew in a mount namespace, where it mounts what it needs: it ends with
it. The program runs in a chroot, so that the file system is the only one that it sees.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Bar, Figure
from bench.measure import command, in_turn, seconds
from vm.host import BUILD, ROOT, run
from vm.tree import Tree

FILES = 100_000
CACHED = 20_000
FOLDERS = 2_000
FILE_BYTES = 6_000
IMAGE_MIB = 1_600
TORPOR = "/usr/lib/torpor/torpor"
RECORD = (f"{TORPOR}/torpor", "workingset", "record", "/run/set")
POLL_SECONDS = 0.005

TIME_BAR = Bar(1.5, None)
MEMORY_BAR = Bar(64, None)


def measure(folder: Path) -> tuple[list[Figure], dict[str, object]]:
    """Record FILES files of which CACHED are in the page cache; `folder` is on a tmpfs."""
    if os.geteuid() != 0:
        print("\nrecord: not measured, mounting takes root")
        return [], {}
    inside = [sys.executable, "-m", "bench.record", str(folder)]
    report = json.loads(run("unshare", "--mount", "--propagation", "private", *inside, cwd=ROOT))
    name = f"record {report['files']} of {FILES} files"
    figures = [
        Figure(f"{name}: wall", report["seconds"], "s", TIME_BAR),
        Figure(f"{name}: peak of all processes", [report["peak_mib"]], "MiB", MEMORY_BAR),
        Figure(f"{name}: section", [report["kib"]], "KiB"),
    ]
    return figures, report


def main() -> int:
    folder = Path(sys.argv[1])
    root = folder / "root"
    _mount(folder / "files.img", root)
    _fill(root)
    words = ["chroot", str(root), *RECORD]
    rounds = in_turn({"record": command(*words)})
    said = run(*words)
    report = {
        "seconds": seconds(rounds["record"]),
        "peak_mib": _peak_mib(words),
        "files": int(said.split()[0]),
        "kib": (root / "run/set").stat().st_size / 1024,
        "said": said.strip(),
    }
    print(json.dumps(report))
    return 0


def _mount(image: Path, root: Path) -> None:
    """Mount a new file system, and in it what the program asks the kernel by."""
    with image.open("wb") as file:
        file.truncate(IMAGE_MIB << 20)
    run("mke2fs", "-q", "-t", "ext4", "-N", str(2 * FILES), image)
    root.mkdir()
    run("mount", "-o", "loop", image, root)
    for name in ("proc", "sys", "dev"):
        (root / name).mkdir()
        run("mount", "--rbind", f"/{name}", root / name)


def _fill(root: Path) -> None:
    """Write the program and the files, and have every fifth file cached, all names known."""
    tree = Tree()
    tree.program(TORPOR, BUILD / "torpor")
    tree.folder("/run")
    tree.write_folder(root)
    data = os.urandom(FILE_BYTES)
    for path in _paths(root):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    os.sync()
    for number, path in enumerate(_paths(root)):
        fd = os.open(path, os.O_RDONLY)
        if number % (FILES // CACHED):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        else:
            os.read(fd, FILE_BYTES)
        os.close(fd)


def _paths(root: Path) -> Iterator[Path]:
    for number in range(FILES):
        folder = number % FOLDERS
        yield root / f"usr/share/{folder % 40:02}/package-{folder:04}/page-{number:06}.html"


def _peak_mib(words: list[str]) -> float:
    """Run it once more and return the most memory that it and all its processes had together."""
    most = 0
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, start_new_session=True)
    while process.poll() is None:
        listed = subprocess.run(
            ["ps", "-o", "pid=", "-s", str(process.pid)],
            capture_output=True,
            text=True,
            check=False,
        )
        most = max(most, sum(map(_pss_kib, listed.stdout.split())))
        time.sleep(POLL_SECONDS)
    return most / 1024


def _pss_kib(pid: str) -> int:
    """Return the memory of a process, what it shares divided among those that do."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


if __name__ == "__main__":
    sys.exit(main())
