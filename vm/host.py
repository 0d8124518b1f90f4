"""Runs programs of the host and knows where results are cached between runs."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def building(target: Path) -> Iterator[Path]:
    """Yield a scratch folder beside `target` that becomes `target` if nothing goes wrong.

    So `target` is always complete. If another run was faster, its result stays.
    """
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield scratch
        if not target.exists():
            scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
