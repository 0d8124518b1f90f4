"""Wraps the tree up as a Debian package."""

import hashlib
import os
import re
import shutil
import subprocess
from email.utils import parsedate_to_datetime
from pathlib import Path

from package.layout import CONFFILE
from package.tree import ROOT, set_dates

DEBIAN = ROOT / "package/debian"
SCRIPTS = ("prerm", "postrm")

_GLIBC = re.compile(r"\bGLIBC_(\d+)\.(\d+)")


def changelog_date() -> int:
    """Return the date of the last entry of the changelog, in seconds since 1970."""
    found = re.search(r"^ -- .*>  (.*)$", (DEBIAN / "changelog").read_text(), re.MULTILINE)
    if found is None:
        raise ValueError("package/debian/changelog has no entry")
    return int(parsedate_to_datetime(found[1]).timestamp())


def changelog_version() -> str:
    """Return the version of the last entry of the changelog."""
    found = re.match(r"torpor \(([^)]+)\)", (DEBIAN / "changelog").read_text())
    if found is None:
        raise ValueError("package/debian/changelog has no entry")
    return found[1]


def build_deb(tree: Path, deb: Path, version: str, date: int) -> None:
    """Write the package `deb` of what is in `tree`, with the control files added to the tree.

    Raises subprocess.CalledProcessError.
    """
    control = tree / "DEBIAN"
    shutil.rmtree(control, ignore_errors=True)
    control.mkdir()
    (control / "md5sums").write_text(_md5sums(tree))
    (control / "conffiles").write_text(f"{CONFFILE}\n")
    shutil.copy(DEBIAN / "triggers", control)
    (control / "control").write_text(_control(tree, version))
    for path in control.iterdir():
        path.chmod(0o644)
    for name in SCRIPTS:
        shutil.copy(DEBIAN / name, control)
        (control / name).chmod(0o755)
    set_dates(tree, date)
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "--threads-max=1", "-Zxz", "--build", tree, deb],
        env=os.environ | {"SOURCE_DATE_EPOCH": str(date)},
        stdout=subprocess.DEVNULL,
        check=True,
    )


def _control(tree: Path, version: str) -> str:
    text = (DEBIAN / "control").read_text()
    kib = sum(1 + path.lstat().st_size // 1024 for path in tree.rglob("*"))
    for name, value in (("VERSION", version), ("SIZE", str(kib)), ("LIBC", glibc_needed(tree))):
        text = text.replace(f"@{name}@", value)
    return text


def _md5sums(tree: Path) -> str:
    files = [path for path in tree.rglob("*") if path.is_file() and not path.is_symlink()]
    return "".join(
        f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(tree)}\n"
        for path in sorted(files)
        if f"/{path.relative_to(tree)}" != CONFFILE
    )


def glibc_needed(tree: Path) -> str:
    """Return the oldest glibc that has every symbol version that the programs' ELF files name."""
    versions = {(2, 2)}
    for path in tree.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.read_bytes()[:4] == b"\x7fELF":
            said = subprocess.run(
                ["objdump", "--private-headers", path], capture_output=True, text=True, check=True
            ).stdout
            versions.update((int(major), int(minor)) for major, minor in _GLIBC.findall(said))
    return ".".join(map(str, max(versions)))
