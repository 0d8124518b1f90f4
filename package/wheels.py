"""Fetches the wheels that a Debian source package carries, since it is built without a network."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

PYTHONS = ("3.11", "3.13")
"""Of Debian 12 and 13."""
_LEFT_OUT = {"mypy", "ruff"}
"""They judge the sources, and are larger than all the rest."""
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
_OLDER = ("manylinux_2_12_x86_64", "manylinux2010_x86_64", "manylinux_2_5_x86_64")


def fetch_wheels(lock: Path, folder: Path) -> None:
    """Fill `folder` with wheels for PYTHONS, and the part of the lock that names them.

    What is there of the same lock is kept. Raises subprocess.CalledProcessError.
    """
    wanted = lock_of_the_wheels(lock.read_text())
    ours = folder / "requirements.lock"
    if ours.exists() and ours.read_text() == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    unproven = folder / "requirements.part"
    unproven.write_text(wanted)
    for version in PYTHONS:
        platforms = [f"--platform={name}" for name in (*_PLATFORMS, *_OLDER, "manylinux1_x86_64")]
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "-q", "--require-hashes", "--no-deps"),
                *("--only-binary=:all:", "--implementation=cp", f"--python-version={version}"),
                *platforms,
                *(f"--dest={folder}", "-r", unproven),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=True,
        )
    unproven.rename(ours)


def lock_of_the_wheels(lock: str) -> str:
    """Return the entries of a lock but for those that only what is left out needs."""
    entries = {
        re.split("==", entry, maxsplit=1)[0]: entry
        for entry in re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)
        if "==" in entry
    }
    left_out = set(_LEFT_OUT)
    while True:
        more = {name for name, entry in entries.items() if _users(entry) <= left_out} | left_out
        if more == left_out:
            return "".join(entry for name, entry in entries.items() if name not in left_out)
        left_out = more


def _users(entry: str) -> set[str]:
    """Return what needs the distribution of an entry: pip-compile says so at its end."""
    return set(re.findall(r"^    #(?: via|  ) +(\S.*)$", entry, re.MULTILINE))
