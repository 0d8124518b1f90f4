"""What is installed where: one table for Debian package and tarball, laid out as a folder."""

import gzip
import io
import os
import shutil
import tarfile
import zlib
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from package.completion import bash_completion, zsh_completion


class Flavour(Enum):
    """What is being made."""

    DEB = "deb"
    TARBALL = "tarball"


class Item(NamedTuple):
    """A file or folder of the repository and where it goes."""

    source: str
    """Below the repository; what ends in a slash is a folder, taken with all it holds."""
    destination: str
    mode: int | None = 0o644
    """None: 755 for what is executable in the source and no library, else 644."""


_LIB = "/usr/lib/torpor"
_MAN = "/usr/share/man"
_DOC = "/usr/share/doc/torpor"

_UNITS = "/usr/lib/systemd/system"
_WANTED = ("torpor-announce.service", "torpor-stale.service", "torpor-workingset.service")
"""Units that each boot of the installed system starts, if their conditions hold."""
_GENERATOR = "/usr/lib/systemd/system-generators/torpor-resume-generator"

CONFFILE = "/etc/torpor.conf"
BASH_COMPLETION = "/usr/share/bash-completion/completions/torpor"
ZSH_COMPLETION = {
    Flavour.DEB: "/usr/share/zsh/vendor-completions/_torpor",
    Flavour.TARBALL: "/usr/share/zsh/site-functions/_torpor",
}

ITEMS = (
    Item("build/torpor/", f"{_LIB}/torpor", None),
    Item("build/torpor-resume/", f"{_LIB}/resume", None),
    Item("build/torpor-resume.needs", f"{_LIB}/resume.needs"),
    Item("build/torpor-resume-sealing.needs", f"{_LIB}/resume-sealing.needs"),
    Item("build/torpor-resume-server.needs", f"{_LIB}/resume-server.needs"),
    Item("initramfs/sealing-needs", f"{_LIB}/sealing-needs", 0o755),
    Item("initramfs/server-needs", f"{_LIB}/server-needs", 0o755),
    Item("initramfs/server-network", f"{_LIB}/server-network", 0o755),
    Item("initramfs/systemd/zz-torpor.network", f"{_LIB}/zz-torpor.network"),
    Item("initramfs/dracut/", "/usr/lib/dracut/modules.d/55torpor", None),
    Item("initramfs/initramfs-tools/", "/usr/share/initramfs-tools", None),
    Item("initramfs/mkinitcpio/", "/usr/lib/initcpio", None),
    Item("initramfs/systemd/torpor-resume.service", f"{_UNITS}/torpor-resume.service"),
    Item("initramfs/systemd/torpor-resume-generator", _GENERATOR, 0o755),
    *(
        Item("initramfs/systemd/systemd-hibernate-resume.conf", f"{_UNITS}/{unit}.d/torpor.conf")
        for unit in ("systemd-hibernate-resume.service", "systemd-hibernate-resume@.service")
    ),
    *(Item(f"package/files/{unit}", f"{_UNITS}/{unit}") for unit in _WANTED),
    Item("package/files/torpor.conf", CONFFILE),
    Item("package/files/undo-enable", f"{_LIB}/undo-enable", 0o755),
    Item("docs/torpor.8", f"{_MAN}/man8/torpor.8.gz"),
    Item("docs/torpor.conf.5", f"{_MAN}/man5/torpor.conf.5.gz"),
    Item("build/torpor.cdx.json", f"{_DOC}/torpor.cdx.json.gz"),
    Item("package/debian/copyright", f"{_DOC}/copyright"),
    Item("NEWS.md", f"{_DOC}/NEWS.md.gz"),
    Item("README.md", f"{_DOC}/README.md.gz"),
)
"""A destination in .gz is compressed."""

LINKS = {
    "/usr/bin/torpor": "../lib/torpor/torpor/torpor",
    "/usr/sbin/torpor-resume": "../lib/torpor/resume/torpor-resume",
    f"{_MAN}/man8/torpor-resume.8.gz": "torpor.8.gz",
    **{f"{_UNITS}/multi-user.target.wants/{unit}": f"../{unit}" for unit in _WANTED},
}
"""Symbolic links: where → to what."""


ROOT = Path(__file__).resolve().parent.parent


def make_tree(tree: Path, flavour: Flavour, date: int) -> None:
    """Fill the folder `tree`, which is made anew; every date is `date`, in seconds since 1970.

    Raises FileNotFoundError if a source is missing.
    """
    shutil.rmtree(tree, ignore_errors=True)
    for item in ITEMS:
        _place(item, tree)
    _write(tree / BASH_COMPLETION[1:], bash_completion().encode())
    _write(tree / ZSH_COMPLETION[flavour][1:], zsh_completion().encode())
    for name, target in LINKS.items():
        link = tree / name[1:]
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
    set_dates(tree, date)


def build_tarball(tree: Path, tarball: Path, top: str, date: int) -> None:
    """Write `tarball`: a folder `top` with the tree as root/, install.sh and the documents."""

    def normal(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = 0
        info.uname = info.gname = "root"
        info.mtime = date
        return info

    with (
        tarball.open("wb") as file,
        gzip.GzipFile("", "wb", 9, file, mtime=0) as packed,
        tarfile.open(mode="w", fileobj=packed, format=tarfile.GNU_FORMAT) as archive,
    ):
        for name, mode in (("README.md", 0o644), ("LICENSE", 0o644), ("package/install.sh", 0o755)):
            data = (ROOT / name).read_bytes()
            info = tarfile.TarInfo(f"{top}/{os.path.basename(name)}")
            info.size, info.mode = len(data), mode
            archive.addfile(normal(info), io.BytesIO(data))
        archive.add(tree, f"{top}/root", filter=normal)


def set_dates(tree: Path, date: int) -> None:
    """Give everything below `tree` the same date, and folders their mode."""
    for path in (tree, *tree.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
        os.utime(path, (date, date), follow_symlinks=False)


def _place(item: Item, tree: Path) -> None:
    source = ROOT / item.source
    destination = tree / item.destination[1:]
    if not item.source.endswith("/"):
        data = source.read_bytes()
        if destination.suffix == ".gz":
            # As gzip -9n, and on every Python: gzip.compress names another system in 3.13.
            data = zlib.compress(data, 9, wbits=31)
        _write(destination, data, _mode(item, source))
        return
    if not source.is_dir():
        raise FileNotFoundError(f"{source} is not there")
    for path in sorted(source.rglob("*")):
        target = destination / path.relative_to(source)
        if path.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(os.readlink(path))
        elif path.is_file():
            _write(target, path.read_bytes(), _mode(item, path))


def _mode(item: Item, source: Path) -> int:
    if item.mode is not None:
        return item.mode
    is_program = source.stat().st_mode & 0o100 and ".so" not in source.suffixes
    return 0o755 if is_program else 0o644


def _write(path: Path, data: bytes, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)
