"""Wraps the tree up as a tarball with its installer."""

import gzip
import io
import tarfile
from pathlib import Path

from package.tree import ROOT


def build_tarball(tree: Path, tarball: Path, top: str, date: int) -> None:
    """Write `tarball`: a folder `top` with the tree as root/, install.sh and the documents."""
    with (
        tarball.open("wb") as file,
        gzip.GzipFile("", "wb", 9, file, mtime=0) as packed,
        tarfile.open(mode="w", fileobj=packed, format=tarfile.GNU_FORMAT) as archive,
    ):
        for name, mode in (("README.md", 0o644), ("LICENSE", 0o644)):
            _add(archive, f"{top}/{name}", (ROOT / name).read_bytes(), mode, date)
        installer = (ROOT / "package/install.sh").read_bytes()
        _add(archive, f"{top}/install.sh", installer, 0o755, date)
        for path in (tree, *sorted(tree.rglob("*"))):
            name = f"{top}/root/{path.relative_to(tree)}".removesuffix("/.")
            info = archive.gettarinfo(path, name)
            info.uid = info.gid = 0
            info.uname = info.gname = "root"
            info.mtime = date
            if info.isreg():
                archive.addfile(info, io.BytesIO(path.read_bytes()))
            else:
                archive.addfile(info)


def _add(archive: tarfile.TarFile, name: str, data: bytes, mode: int, date: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(data), mode, date
    info.uname = info.gname = "root"
    archive.addfile(info, io.BytesIO(data))
