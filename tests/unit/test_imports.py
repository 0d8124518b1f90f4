"""What the frozen programs import, by their own bootstrap, before the work begins."""

import subprocess
import sys
import sysconfig

import pytest

from tests.tools import ROOT

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


@pytest.mark.parametrize(
    ("way", "needed", "heavy"),
    [
        (IMAGE, {"construct", "crcmod", "guard.compare", "resume.restore"}, HEAVY | FOR_REFUSALS),
        (
            HIBERNATION,
            {"argparse", "hibernate.sequence", "workingset.recorder"},
            HEAVY | THE_RECORDERS,
        ),
    ],
    ids=["image", "hibernation"],
)
def test_a_start_takes_few_imports(way: str, needed: set[str], heavy: set[str]) -> None:
    script = f"{START}{way}\nprint(*sys.modules.keys() - stand_ins)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=True
    )
    found = {*done.stdout.split()}
    assert needed <= found
    assert not heavy & found


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
