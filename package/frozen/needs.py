"""Lists what has to be in an initramfs for a frozen program to run there."""

import os
import re
import subprocess
from pathlib import Path

from package.frozen.elf import elf_files


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

    Each file is looked at as the loader sees it at its start: the libraries of the folder find each
    other, and the program's own libz must be the host's even if one is inside.
    """
    needed = {path for file in elf_files(frozen) for path in _libraries(file)}
    return sorted(path for path in needed if frozen not in path.parents)


def _libraries(file: Path) -> list[Path]:
    environment = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    said = subprocess.run(
        ["ldd", str(file)], env=environment, capture_output=True, text=True, check=True
    ).stdout
    if "not found" in said:
        raise FileNotFoundError(f"{file} needs a library this machine does not have:\n{said}")
    return [Path(path) for path in re.findall(r"^\t(?:\S+ => )?(/.+) \(0x", said, re.MULTILINE)]
