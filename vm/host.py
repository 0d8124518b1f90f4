"""Runs programs of the host and knows where results are cached between runs."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
GUEST_SCRIPTS = Path(__file__).resolve().parent / "guest"


SEARCH_PATH = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
"""Where programs are looked for: mke2fs and blkid, too, for users without these folders."""


class HostError(Exception):
    """Something the virtual machines need from the host is missing or failed."""


def run(*argv: str | Path, cwd: Path | None = None) -> str:
    """Run a program and return what it printed.

    Raises HostError with the command and its output unless the exit status is 0.
    """
    try:
        done = subprocess.run(
            [str(word) for word in argv],
            cwd=cwd,
            env={**os.environ, "PATH": SEARCH_PATH, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise HostError(f"{argv[0]} is not installed") from error
    if done.returncode != 0:
        command = " ".join(str(word) for word in argv)
        raise HostError(f"{command}: exit status {done.returncode}\n{done.stdout.rstrip()}")
    return done.stdout


def cache(kind: str) -> Path:
    """Return the folder that keeps results of this kind between runs."""
    base = Path(os.environ.get("TORPOR_CACHE") or Path.home() / ".cache" / "torpor")
    folder = base / kind
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def kept(kind: str, name: str, make: Callable[[Path], None], most: int = 0) -> Path:
    """Return a result's folder in the cache; `make` fills a new one, if it is not there.

    At most `most` results of the kind stay, the newest; 0 is all.
    """
    home = cache(kind) / name
    if home.exists():
        return home
    # What is there is complete: filled beside it. If another run was faster, its result stays.
    scratch = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=home.parent))
    try:
        make(scratch)
        if not home.exists():
            scratch.rename(home)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    oldest_first = sorted(home.parent.iterdir(), key=lambda entry: entry.stat().st_mtime)
    for entry in oldest_first[: -most if most else 0]:
        shutil.rmtree(entry, ignore_errors=True)
    return home
