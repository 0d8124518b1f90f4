"""What the frozen programs import, by their own bootstrap, before the work begins."""

import subprocess
import sys
import sysconfig

import pytest

from tests.tools import ROOT
from tests.vectors.build import FOLDER

BOOTSTRAP = str(ROOT / "package/frozen/bootstrap.py")
START = f"""
import sys
sys.path += [{str(ROOT)!r}, {sysconfig.get_path("purelib")!r}]
exec(open({BOOTSTRAP!r}).read())
stand_ins = [*sys.modules]
"""
IMAGE = "import resume.__main__, resume.images"
HIBERNATION = """
from torpor.__main__ import build_parser
build_parser(["hibernate"])
import torpor.hibernation, hibernate.sequence
"""

HEAVY = {"dataclasses", "inspect", "datetime", "shutil", "rich"}
"""What nobody needs at once: a dataclass compiles its methods, and inspect comes with it."""

FOR_REFUSALS = {
    *("json", "argparse", "pyudev", "subprocess", "zstandard"),
    *("linux.mounts", "linux.extents", "store.place"),
    *("format.working_set", "state.working_set", "state.record"),
}
"""What a boot needs that does not restore its image, or whose store is a file."""

THE_RECORDERS = {"workingset.record", "workingset.page_out", "format.working_set"}
"""What the process that records the working set imports for itself."""


OF_SEALING = {"nacl", "_cffi_backend", "hmac", "seal", "format.sealing", "format.sealed_layout"}
"""What only who seals or opens an image needs."""

COMMAND = """
from torpor.__main__ import main
assert main(sys.argv[1:]) == 0
"""


@pytest.mark.parametrize(
    ("way", "needed", "heavy"),
    [
        (
            IMAGE,
            {"construct", "crcmod", "guard.compare", "resume.restore"},
            HEAVY | FOR_REFUSALS | OF_SEALING,
        ),
        (
            HIBERNATION,
            {"argparse", "hibernate.sequence", "workingset.recorder"},
            HEAVY | THE_RECORDERS | OF_SEALING,
        ),
    ],
    ids=["image", "hibernation"],
)
def test_a_start_takes_few_imports(way: str, needed: set[str], heavy: set[str]) -> None:
    found = imported_by(way)
    assert needed <= found
    assert not heavy & found


def imported_by(way: str, *words: str) -> set[str]:
    """Return the modules that are there after that, with these words in sys.argv."""
    script = f"{START}{way}\nprint('imports', *sys.modules.keys() - stand_ins)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, *words],
        capture_output=True,
        text=True,
        check=True,
    )
    return {*done.stdout.splitlines()[-1].split()[1:]}


@pytest.mark.parametrize(
    "words",
    [("verify",), ("inspect",), ("unpack", "/dev/null"), ("status",)],
    ids=lambda words: words[0],
)
def test_what_is_not_sealed_is_read_without_libsodium(words: tuple[str, ...]) -> None:
    command, *rest = words
    image = [] if command == "status" else [str(FOLDER / "sound-three-chunks.img")]
    found = imported_by(COMMAND, command, *image, *rest)
    assert f"torpor.commands.{command}" in found
    assert not OF_SEALING & found


def test_what_is_sealed_takes_it() -> None:
    """So that the names are those of what the others must not have."""
    words = (
        "--identity",
        str(FOLDER / "identity.txt"),
        str(FOLDER / "sound-sealed-two-chunks.img"),
    )
    assert imported_by(COMMAND, "verify", *words) >= OF_SEALING


def test_the_records_need_nothing_that_something_stands_in_for() -> None:
    script = f"""
import sys
import pytest
before = dict(sys.modules)
exec(open({BOOTSTRAP!r}).read())
import format.layout
sys.modules |= before
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "tests/unit/test_format_bytes.py"]))
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
