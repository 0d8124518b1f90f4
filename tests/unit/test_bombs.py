"""Whatever a file that we are given says of its size: little memory, and an end."""

import subprocess
import sys
from pathlib import Path

import pytest

from format.records import MAX_CHUNK_SIZE, WORKING_SET
from format.working_set import build_file
from tests.sources import reader_of, write_image
from tests.tools import ROOT
from tests.unit.working_set_bombs import bombs

MOST = 96
"""MiB of memory that a command may take for any file."""

_PEAK = """
import os, sys
pid = os.posix_spawn(sys.executable, [sys.executable, "-m", "torpor", *sys.argv[1:]], os.environ)
_, status, used = os.wait4(pid, 0)
print("peak", os.waitstatus_to_exitcode(status), used.ru_maxrss >> 10)
"""
"""A small process between: who starts another one leaves it its own peak."""


def peak_of(*words: str | Path) -> tuple[int, int]:
    """Return the exit code of a command, and the MiB of memory that it took."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", _PEAK, *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    code, mebibytes = done.stdout.rpartition("peak ")[2].split()
    assert "Traceback" not in done.stderr
    return int(code), int(mebibytes)


BOMBS = bombs()


@pytest.mark.parametrize("name", BOMBS)
def test_a_working_set_in_an_image(name: str, tmp_path: Path) -> None:
    """6 KiB of an image are 16 MiB of a section, and were a gigabyte of objects."""
    code, section = BOMBS[name]
    page = reader_of(b"p" * 4096)
    image = write_image(page, MAX_CHUNK_SIZE, codec="zstd", tables={WORKING_SET: section})
    assert len(image) < 8192
    path = tmp_path / "image"
    path.write_bytes(image)
    found, mebibytes = peak_of("verify", path)
    assert (found, mebibytes < MOST) == (code, True), mebibytes


@pytest.mark.parametrize("name", ["no end", "names of file systems", "a file", "a process"])
def test_a_working_set_in_a_file(name: str, tmp_path: Path) -> None:
    code, section = BOMBS[name]
    path = tmp_path / "set"
    path.write_bytes(build_file(section))
    found, mebibytes = peak_of("workingset", "replay", path)
    assert (found, mebibytes < MOST) == (code, True), mebibytes
