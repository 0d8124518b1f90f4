"""The way of a boot without an image: what it imports, what it says; and the arguments."""

import subprocess
import sys
from pathlib import Path

import pytest

import resume.__main__ as program
from errors import NoImageError, TorporError, UnsupportedError, UsageError
from resume.arguments import USAGE, Arguments
from state import location
from state.boot import BootRecord
from tests.forge import KERNEL, PAGE, SWAP, USER, header_page
from tests.tools import ROOT, Result
from tests.unit.booting import PAGES, Boot
from tests.unit.conftest import Torpor

HEAVY = {
    *("construct", "pyudev", "ctypes", "dataclasses", "typing", "re", "enum", "json", "argparse"),
    *("contextlib", "collections", "functools", "subprocess", "uuid", "glob", "shutil"),
}
"""None of these on the way: `re` alone takes half as long as the bare interpreter."""

RUN = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import linux.root, state.boot, state.location, store.locate, resume.find
linux.root.is_in_memory = lambda: True
linux.root.Root.device_number = lambda *_: '0:0'
state.boot.PATH, state.location.PATH, device, *sys.argv = sys.argv[1:]
resume.find.whole_devices = lambda: [device]
resume.wait.find_devices = lambda _spec: [device]
from resume.__main__ import main
code = main()
print(code, *sorted({{name.partition(".")[0] for name in sys.modules}}))
"""
"""The real program in a process of its own, as frozen but for the first folder of sys.path."""


@pytest.mark.parametrize("text", ["quiet resume=LABEL=x", "quiet", "torpor.timeout=x"])
@pytest.mark.parametrize("kept", ["", "resume=LABEL=x\n", "resume=LABEL=x\nexternal=no\n"])
@pytest.mark.parametrize("option", [(), ("--dry-run",), ("--meanwhile", "false")])
def test_no_image_takes_no_heavy_import(
    text: str, kept: str, option: tuple[str, ...], tmp_path: Path
) -> None:
    swap, places = tmp_path / "swap", [str(tmp_path / name) for name in ("boot", "location")]
    swap.write_bytes(header_page(PAGES, signature=SWAP))
    if kept:
        Path(places[1]).write_text(kept)
    words = ["torpor-resume", "--cmdline", text, *option]
    command = [sys.executable, "-I", "-S", "-c", RUN, *places, str(swap), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    code, *modules = done.stdout.split()
    assert code == str(NoImageError.exit_code)
    assert {"resume", "store", "state", "linux"} <= {*modules}
    assert not HEAVY & {*modules}
    record = BootRecord.read(places[0])
    if option == ("--dry-run",):
        assert record is None
    else:
        assert record is not None
        assert record.exit_code == NoImageError.exit_code
        assert "no image: " in record.message


@pytest.mark.parametrize(
    ("contents", "error", "words"),
    [
        (header_page(PAGES, signature=SWAP), NoImageError, "is swap without an image"),
        (header_page(PAGES, signature=USER), NoImageError, "an image of another program"),
        (header_page(PAGES, signature=KERNEL), NoImageError, "an image of the kernel's own"),
        (header_page(PAGES, signature=b"something "), NoImageError, "neither an image, nor a"),
        (b"", NoImageError, "0 bytes are too few"),
        (b"short", NoImageError, "5 bytes are too few"),
        (bytes(PAGE * 2), NoImageError, "neither an image, nor a store, nor swap"),
        (b"\x89TORPOR\n".ljust(PAGE * 2, b"\1"), UnsupportedError, "version"),
    ],
)
def test_rehearsal_on_a_file(
    contents: bytes, error: type[TorporError], words: str, boot: Boot
) -> None:
    path = boot.folder / "file"
    path.write_bytes(contents)
    with pytest.raises(error, match=words):
        program.rehearse(f"resume={path}", boot.report)


def test_a_page_number_that_is_none_is_named_and_page_0_looked_at(boot: Boot) -> None:
    path = boot.device(first=header_page(PAGES, signature=SWAP))
    outcome = boot.resume(f"resume={path} resume_offset=")
    assert outcome.message == f"no image: {path} is swap without an image"
    ((_, words),) = boot.said
    assert words == (
        "resume_offset= on the kernel command line is no number of a page: looking in page 0"
    )


def test_a_damaged_location_is_named(boot: Boot, torpor_resume: Torpor) -> None:
    Path(location.PATH).parent.mkdir()
    Path(location.PATH).write_text("resume=\n")
    assert torpor_resume("--cmdline", "quiet").code == 15
    record = BootRecord.read()
    assert record is not None
    assert "does not say where the store is" in record.message


def test_arguments() -> None:
    found = Arguments(["--wait", "--dry-run", "--cmdline", "--x", "--meanwhile", "a", "--dry-run"])
    assert (found.wait, found.dry_run, found.cmdline) == (True, True, "--x")
    assert found.meanwhile == ["a", "--dry-run"]
    assert vars(Arguments([])) == {
        "help": False,
        "dry_run": False,
        "wait": False,
        "cmdline": None,
        "meanwhile": [],
    }


@pytest.mark.parametrize(
    "words", ["--cmdline", "--meanwhile", "--dry", "quiet", "--no-wait", "--dry-run=1", "-x"]
)
def test_wrong_arguments_are_a_usage_error(words: str, torpor_resume: Torpor) -> None:
    said = torpor_resume(words)
    assert said.code == UsageError.exit_code
    assert said.err.startswith(f"torpor-resume: {words} ")
    assert USAGE in said.err
    assert said.out == ""


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help(word: str, torpor_resume: Torpor) -> None:
    assert torpor_resume("--dry-run", word) == Result(0, f"{USAGE}\n", "")
