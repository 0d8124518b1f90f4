"""The frozen resumer without what only sealed images need, and with it."""

import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

import aeg.aegis256
import pytest

from package.frozen import __main__ as freezer
from package.frozen.elf import needed_outside
from package.frozen.programs import PROGRAMS
from tests.initramfs.installed import BUILD
from tests.tools import ROOT, unavailable
from tests.unit.test_frozen import DYNLOAD, IMPORT_ALL, OURS

RESUMER = next(program for program in PROGRAMS if program.sealing)
MESSAGE, HEAD = b"all of memory", b"a header"

ENCRYPT = f"""
import hashlib, hmac
from format import sodium

def main():
    room = bytearray({MESSAGE!r} + bytes(sodium.TAG_SIZE))
    sodium.encrypt(bytes(32), 7, {HEAD!r}, memoryview(room))
    print(room.hex(), hmac.digest(b"key", b"data", hashlib.sha256).hex())
"""


def listed(path: Path) -> set[str]:
    """Return the names in the folder of the files of it that a list has."""
    if not path.exists():
        unavailable("the programs are not frozen: python3 build.py frozen")
    prefix = f"{RESUMER.installed}/"
    lines = path.read_text().splitlines()
    return {line.removeprefix(prefix) for line in lines if line.startswith(prefix)}


@pytest.fixture
def frozen(tmp_path: Path) -> Path:
    """Return the folder with what any initramfs has of it."""
    for name in listed(freezer.needs_of(BUILD / RESUMER.name)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(BUILD / RESUMER.name / name, tmp_path / name)
    return tmp_path


def add_what_sealing_needs(frozen: Path) -> None:
    for name in listed(freezer.sealing_needs_of(BUILD / RESUMER.name)):
        (frozen / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(BUILD / RESUMER.name / name, frozen / name)


def run(frozen: Path, main: str = "") -> subprocess.CompletedProcess[str]:
    """Run the resumer in the folder, with another main module if one is given."""
    if main:
        source = frozen / "main.py"
        source.write_text(main)
        py_compile.compile(str(source), str(frozen / "_internal/resume/__main__.pyc"), doraise=True)
    words = [str(frozen / RESUMER.name), "--help"]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_the_lists_are_apart_and_have_all() -> None:
    one = listed(freezer.needs_of(BUILD / RESUMER.name))
    other = listed(freezer.sealing_needs_of(BUILD / RESUMER.name))
    folder = BUILD / RESUMER.name
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
    assert not one & other
    assert one | other == files
    assert {name.partition(".")[0] for name in other} >= {
        *("_internal/_cffi_backend", "_internal/hmac", "_internal/format/sodium"),
        *("_internal/nacl/__init__", "_internal/nacl/_sodium"),
    }


def test_of_nacl_there_is_the_extension_module_alone() -> None:
    names = {path.name for path in (BUILD / RESUMER.name / "_internal/nacl").iterdir()}
    assert names == {"__init__.pyc", "_sodium.abi3.so"}


def test_sealing_needs_nothing_more_of_the_system(frozen: Path) -> None:
    """So that the list of it has nothing that a package would have to put right."""
    before = needed_outside(frozen)
    add_what_sealing_needs(frozen)
    assert needed_outside(frozen) == before


def test_nothing_else_imports_what_only_sealing_needs(frozen: Path) -> None:
    inside = frozen / "_internal"
    ours = [package for package in OURS if (inside / package).is_dir()]
    bootstrap = ROOT / "package/frozen/bootstrap.py"
    subprocess.run(
        [sys.executable, "-ISc", IMPORT_ALL, inside, inside / DYNLOAD, bootstrap, *ours], check=True
    )
    done = run(frozen)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: torpor-resume")


def test_sealing_is_libsodiums(frozen: Path) -> None:
    """The vectors are of another library, and of HMAC by OpenSSL, which is not in it."""
    missing = run(frozen, ENCRYPT)
    assert "No module named" in missing.stderr
    add_what_sealing_needs(frozen)
    done = run(frozen, ENCRYPT)
    assert done.returncode == 0, done.stderr
    encrypted, code = done.stdout.split()
    nonce = (7).to_bytes(32, "little")
    vector: bytes = aeg.aegis256.encrypt(bytes(32), nonce, MESSAGE, HEAD, maclen=32)
    assert encrypted == vector.hex()
    assert code == "5031fe3d989c6d1537a013fa6e739da23463fdaec3b70137d828e36ace221bd0"
