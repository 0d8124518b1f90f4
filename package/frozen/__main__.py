"""Freezes what has changed since the last time; says what it did."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from package import changelog
from package.frozen.bom import bill_of_materials
from package.frozen.elf import make_independent, needed_outside, users_of_libraries
from package.frozen.programs import ENCODINGS, HERE, PROGRAMS, Program

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
SOURCES = (
    *(
        "format",
        "linux",
        "state",
        "store",
        "s3",
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
_DYNLOAD = "_internal/python*/lib-dynload"


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
    listed = files_by_group(frozen, program.groups)
    for group, files in listed.items():
        outside = [] if group else needed_outside(frozen)
        lines = [*(f"{program.installed}/{file}" for file in files), *outside]
        needs_of(frozen, group).write_text("".join(f"{line}\n" for line in lines))


def files_by_group(frozen: Path, groups: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Return the files of the folder by the group that alone needs them, "" for all others."""
    places = [f"_internal/{place}" for place in ("", *_extensions_in(frozen))]
    starts = {
        group: tuple(
            f"{place}{module.replace('.', '/')}{end}"
            for module in modules
            for place in places
            for end in "./"
        )
        for group, modules in groups.items()
    }
    found = {}
    for path in sorted(frozen.rglob("*")):
        if not path.is_dir():
            name = str(path.relative_to(frozen))
            found[name] = next((one for one in starts if name.startswith(starts[one])), "")
    _join_their_users(found, users_of_libraries(frozen))
    return {group: [name for name in found if found[name] == group] for group in (*groups, "")}


def _extensions_in(frozen: Path) -> list[str]:
    """Return where the standard library has its extension modules, as python3.11/lib-dynload/."""
    return [f"{path.relative_to(frozen / '_internal')}/" for path in frozen.glob(_DYNLOAD)]


def _join_their_users(found: dict[str, str], users: Mapping[str, Iterable[str]]) -> None:
    """Put each library into the group that all that is linked to it are of."""
    for _ in users:  # each may wait for another
        for library, by in users.items():
            groups = {found[user] for user in by}
            if len(groups) == 1:
                found[library] = groups.pop()


def needs_of(frozen: Path, group: str = "") -> Path:
    """Return the list of what the program needs, one path a line.

    Without a group, what any initramfs holds; else what some machines' hold besides.
    """
    return frozen.with_name(f"{frozen.name}{'-' if group else ''}{group}.needs")


def origins_of(frozen: Path) -> Path:
    """Return the table of which file each library was, by its name below _internal, in JSON."""
    return frozen.with_name(f"{frozen.name}.origins")


if __name__ == "__main__":
    sys.exit(main())
