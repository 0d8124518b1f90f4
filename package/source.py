"""Makes the Debian source package, of repository and wheels, and the package by its rules."""

import os
import shutil
import subprocess
from pathlib import Path

from package.tree import ROOT, set_dates
from package.wheels import fetch_wheels


def repository_files(*patterns: str) -> list[str]:
    """Return the names of the files of the repository, or of those that git's patterns choose."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(name for name in listed.stdout.split("\0") if name and (ROOT / name).exists())


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
