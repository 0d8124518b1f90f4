"""Lists what has to be in an initramfs for a frozen program to run there."""

import os
import re
import subprocess
from pathlib import Path


def needed_files(frozen: Path, installed: str) -> list[str]:
    """Return the absolute paths, on a system that has the folder `frozen` at `installed`.

    First every file of the folder, then the libraries and the ELF interpreter outside of it.
    """
    inside = sorted(
        f"{installed}/{file.relative_to(frozen)}" for file in frozen.rglob("*") if not file.is_dir()
    )
    return inside + [str(path) for path in needed_libraries(frozen)]


def needed_libraries(frozen: Path) -> list[Path]:
    """Return the absolute paths of libraries and the ELF interpreter outside of the folder.

    The program itself is looked at as the loader sees it at its start, before PyInstaller's
    LD_LIBRARY_PATH points into the folder: its libz must be the host's even if one is inside.
    """
    inside = frozen / "_internal"
    needed: set[Path] = set()
    for file in frozen.rglob("*"):
        if file.is_symlink() or not file.is_file() or not _is_elf(file):
            continue
        search = inside if inside in file.parents else None
        needed.update(path for path in _libraries(file, search) if frozen not in path.parents)
    return sorted(needed)


def _is_elf(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(4) == b"\x7fELF"


def _libraries(file: Path, search: Path | None) -> list[Path]:
    environment = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    if search is not None:
        environment["LD_LIBRARY_PATH"] = str(search)
    said = subprocess.run(
        ["ldd", str(file)], env=environment, capture_output=True, text=True, check=True
    ).stdout
    if "not found" in said:
        raise FileNotFoundError(f"{file} needs a library this machine does not have:\n{said}")
    return [Path(path) for path in re.findall(r"(/\S+) \(0x", said)]
