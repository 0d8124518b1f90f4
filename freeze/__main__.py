"""Freezes what has changed since the last time; says what it did."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from freeze.needs import needed_files

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
HERE = Path(__file__).resolve().parent
SOURCES = (
    *("format", "kernel", "store", "state", "guard", "hibernate", "resume", "workingset"),
    "generators",
    "setup",
    "doctor",
    "cli",
    "freeze",
)

SPEC = HERE / "program.spec"

# Imported somewhere in a library for a case that does not come up in our programs.
UNUSED = (
    *("importlib.metadata", "ctypes.util", "pdb"),  # see bootstrap.py
    *("email", "csv", "tkinter", "unittest", "pydoc", "doctest", "lib2to3"),
    *("setuptools", "pkg_resources", "_codecs_cn", "_codecs_hk", "_codecs_iso2022", "_codecs_jp"),
    *("_codecs_kr", "_codecs_tw", "_multibytecodec", "readline"),
    *("zstandard._cffi", "zstandard.backend_cffi", "cffi", "_cffi_backend"),  # its C part is there
)
# hashlib, shutil and tempfile do without these; _hashlib alone would bring OpenSSL, 5 MB.
UNUSED_IN_INITRAMFS = (
    *("_hashlib", "_ssl", "ssl", "asyncio", "multiprocessing", "http", "ftplib", "urllib.request"),
    *("xml", "xmlrpc", "decimal", "statistics", "fractions", "random", "rich", "typing_extensions"),
    *("bz2", "lzma", "gzip", "zipfile", "tarfile", "tempfile", "py_compile", "importlib.resources"),
    *("calendar", "_strptime", "base64", "quopri", "getopt", "pprint", "timeit", "tracemalloc"),
    *("socket", "resource", "grp", "_uuid", "unicodedata", "stringprep", "lz4.frame"),
    *("concurrent.futures.process", "crcmod._crcfunpy", "ctypes._aix", "ctypes.macholib"),
)
ENCODINGS_IN_INITRAMFS = ("__init__", "aliases", "ascii", "latin_1", "unicode_escape", "utf_8")


@dataclass(frozen=True, slots=True)
class Program:
    """A program to freeze, and the modules it must not hold."""

    name: str
    entry: Path
    installed: str
    """Where its folder lies on a system."""
    excluded: tuple[str, ...]
    encodings: tuple[str, ...] = ()
    """Modules of `encodings` that it holds; () for all."""


PROGRAMS = (
    Program("torpor", HERE / "entry/torpor.py", "/usr/lib/torpor/torpor", UNUSED),
    Program(
        "torpor-resume",
        HERE / "entry/torpor_resume.py",
        "/usr/lib/torpor/resume",
        UNUSED + UNUSED_IN_INITRAMFS,
        ENCODINGS_IN_INITRAMFS,
    ),
)


def main() -> int:
    """Freeze both programs side by side unless they are up to date; return the exit status."""
    key = _key()
    stamp = BUILD / "freeze.key"
    there = all(_needs(BUILD / program.name).exists() for program in PROGRAMS)
    if there and stamp.exists() and stamp.read_text() == key:
        print("freeze: up to date")
        return 0
    stamp.unlink(missing_ok=True)
    began = time.monotonic()
    work = BUILD / "freeze"
    shutil.rmtree(work, ignore_errors=True)
    running = [(program, _start(program, work / program.name)) for program in PROGRAMS]
    failed = [program for program, process in running if process.wait() != 0]
    for program in failed:
        print(f"freeze: {program.name} failed", file=sys.stderr)
        print((work / program.name / "log").read_text(), file=sys.stderr)
    if failed:
        return 1
    for program in PROGRAMS:
        _place(program, work / program.name)
    stamp.write_text(key)
    print(f"freeze: done in {time.monotonic() - began:.1f} s")
    return 0


def _key() -> str:
    """Hash everything the result depends on."""
    total = hashlib.sha256(sys.version.encode())
    for file in (ROOT / "requirements.lock", *_sources()):
        contents = hashlib.sha256(file.read_bytes()).hexdigest()
        total.update(f"{file.relative_to(ROOT)} {contents}\n".encode())
    return total.hexdigest()


def _sources() -> Iterator[Path]:
    for folder in SOURCES:
        yield from sorted((ROOT / folder).rglob("*.py"))
    yield SPEC


def _start(program: Program, work: Path) -> subprocess.Popen[bytes]:
    work.mkdir(parents=True)
    command = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level=WARN"]
    command += [f"--distpath={work}/dist", f"--workpath={work}/work", str(SPEC), "--"]
    given = (program.name, str(program.entry), str(ROOT), str(_libudev()))
    command += [json.dumps(value) for value in (*given, program.encodings, program.excluded)]
    # A fixed seed and date make two runs over the same sources give the same bytes.
    environment = {**os.environ, "PYTHONHASHSEED": "1", "SOURCE_DATE_EPOCH": "315532800"}
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
    _needs(frozen).unlink(missing_ok=True)
    shutil.rmtree(frozen, ignore_errors=True)
    (work / "dist" / program.name).rename(frozen)
    needed = needed_files(frozen, program.installed)
    _needs(frozen).write_text("".join(f"{path}\n" for path in needed))


def _needs(frozen: Path) -> Path:
    return frozen.with_name(f"{frozen.name}.needs")


if __name__ == "__main__":
    sys.exit(main())
