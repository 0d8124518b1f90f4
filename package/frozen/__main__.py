"""Freezes what has changed since the last time; says what it did."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from package import changelog
from package.frozen.bom import bill_of_materials
from package.frozen.elf import make_independent, needed_outside
from package.frozen.programs import ENCODINGS, HERE, PROGRAMS, Program

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
SOURCES = (
    *(
        "format",
        "linux",
        "state",
        "store",
        "seal",
        "guard",
        "hibernate",
        "resume",
        "workingset",
        "torpor",
    ),
    *("initramfs", "package/frozen"),
)

SPEC = HERE / "program.spec"


def main() -> int:
    """Freeze both programs side by side unless they are up to date; return the exit status."""
    stamp = BUILD / "frozen.key"
    if _is_up_to_date(stamp):
        print("frozen: up to date")
        return 0
    stamp.unlink(missing_ok=True)
    began = time.monotonic()
    work = BUILD / "frozen"
    shutil.rmtree(work, ignore_errors=True)
    running = [(program, _start(program, work / program.name)) for program in PROGRAMS]
    failed = [program for program, process in running if process.wait() != 0]
    for program in failed:
        print(f"frozen: {program.name} failed", file=sys.stderr)
        print((work / program.name / "log").read_text(), file=sys.stderr)
    if failed:
        return 1
    for program in PROGRAMS:
        _place(program, work / program.name)
    frozen = [BUILD / program.name for program in PROGRAMS]
    (BUILD / "torpor.cdx.json").write_text(bill_of_materials(frozen, _binaries()))
    stamp.write_text(_key(_binaries()))
    print(f"frozen: done in {time.monotonic() - began:.1f} s")
    return 0


def _is_up_to_date(stamp: Path) -> bool:
    """Tell whether both programs are there and all that they were made of is the same."""
    try:
        there = all(needs_of(BUILD / program.name).exists() for program in PROGRAMS)
        return there and stamp.read_text() == _key(_binaries())
    except FileNotFoundError:  # never frozen, or a library is gone
        return False


def _key(binaries: Iterable[Path]) -> str:
    """Hash everything the result depends on: our sources, and the libraries that it holds."""
    total = hashlib.sha256(sys.version.encode())
    for file in (ROOT / "requirements.lock", *_sources(), *binaries):
        contents = hashlib.sha256(file.read_bytes()).hexdigest()
        total.update(f"{os.path.relpath(file, ROOT)} {contents}\n".encode())
    return total.hexdigest()


def _binaries() -> list[Path]:
    """Return the files of this system and of the environment that the last freezing took."""
    return sorted(
        {
            Path(source)
            for program in PROGRAMS
            for source in json.loads(origins_of(BUILD / program.name).read_text()).values()
        }
    )


def _sources() -> Iterator[Path]:
    for folder in SOURCES:
        yield from sorted((ROOT / folder).rglob("*.py"))
    yield from (ROOT / "errors.py", SPEC, Path(changelog.__file__), changelog.CHANGELOG)


def _start(program: Program, work: Path) -> subprocess.Popen[bytes]:
    work.mkdir(parents=True)
    command = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level=WARN"]
    command += [f"--distpath={work}/dist", f"--workpath={work}/work", str(SPEC), "--"]
    origins = str(origins_of(work / program.name))
    given = (program.name, str(program.entry), str(ROOT), str(_libudev()))
    lists = (ENCODINGS, program.excluded, program.hidden)
    command += [json.dumps(value) for value in (*given, *lists, origins)]
    # A fixed seed and date make two runs over the same sources give the same bytes; nothing is
    # taken from the user's cache of stripped libraries, and nothing left there.
    environment = {
        **os.environ,
        "PYINSTALLER_CONFIG_DIR": str(work / "cache"),
        "PYTHONHASHSEED": "1",
        "SOURCE_DATE_EPOCH": "315532800",
    }
    with (work / "log").open("wb") as log:
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
        )


def _libudev() -> Path:
    for folder in ("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"):
        library = Path(folder) / "libudev.so.1"
        if library.exists():
            return library
    raise FileNotFoundError("libudev.so.1")


def _place(program: Program, work: Path) -> None:
    """Replace the last result by the new one; the list, made last, says it is whole."""
    frozen = BUILD / program.name
    needs_of(frozen).unlink(missing_ok=True)
    shutil.rmtree(frozen, ignore_errors=True)
    made = work / "dist" / program.name
    make_independent(made)
    made.rename(frozen)
    origins_of(work / program.name).rename(origins_of(frozen))
    files, sealing = _listed(program, frozen)
    _write_list(sealing_needs_of(frozen), sealing)
    _write_list(needs_of(frozen), [*files, *needed_outside(frozen)])


def _listed(program: Program, frozen: Path) -> tuple[list[str], list[str]]:
    """Return where the files of the folder are on a system; apart what only sealing needs."""
    modules = tuple(f"_internal/{name.replace('.', '/')}" for name in program.sealing)
    files: tuple[list[str], list[str]] = ([], [])
    for path in sorted(frozen.rglob("*")):
        if not path.is_dir():
            name = str(path.relative_to(frozen))
            is_sealing = any(name.startswith((f"{module}.", f"{module}/")) for module in modules)
            files[is_sealing].append(f"{program.installed}/{name}")
    return files


def _write_list(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))


def needs_of(frozen: Path) -> Path:
    """Return the list of what the program needs in any initramfs, one path a line."""
    return frozen.with_name(f"{frozen.name}.needs")


def sealing_needs_of(frozen: Path) -> Path:
    """Return the list of what it needs besides where images are sealed."""
    return frozen.with_name(f"{frozen.name}-sealing.needs")


def origins_of(frozen: Path) -> Path:
    """Return the table of which file each library was, by its name below _internal, in JSON."""
    return frozen.with_name(f"{frozen.name}.origins")


if __name__ == "__main__":
    sys.exit(main())
