"""The torpor command among pipes, terminals and signals."""

import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import Result, finished, one_message, start
from tests.sources import read_file
from tests.vectors.build import FOLDER
from tests.vectors.images import BASE_STREAM, noise

PAGE = 4096
SOUND = str(FOLDER / "sound-three-chunks.img")
DAMAGED = str(FOLDER / "chunk-checksum.img")


def test_pack_from_a_pipe_that_dribbles(tmp_path: Path) -> None:
    stream, image = noise(40 * PAGE), tmp_path / "image"
    process = start("pack", "-", image, stdin=subprocess.PIPE)
    assert process.stdin
    for at in range(0, len(stream), 3000):
        process.stdin.write(stream[at : at + 3000])
        process.stdin.flush()
    assert finished(process) == Result(0, "", "")
    assert read_file(image) == stream


def test_unpack_to_a_pipe() -> None:
    process = start("unpack", SOUND, "-", stdout=subprocess.PIPE)
    out, _ = process.communicate(timeout=60)
    assert out == BASE_STREAM
    assert process.returncode == 0


def test_name_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"ima\xffge")
    path.write_bytes(Path(SOUND).read_bytes())
    for arguments in (["verify"], ["verify", "--json"], ["inspect"]):
        process = start(*arguments, path, stdout=subprocess.PIPE)
        result = finished(process)
        assert (result.code, result.err) == (0, "")
        assert "udcff" in result.out


@pytest.fixture
def terminal() -> Iterator[int]:
    controller, user = pty.openpty()
    yield user
    os.close(user)
    os.close(controller)


def test_no_stream_to_a_terminal(terminal: int) -> None:
    result = finished(start("unpack", SOUND, "-", stdout=terminal))
    assert result.code == 6
    assert "is not for a terminal" in result.err
    assert one_message(result.err)


def test_no_stream_from_a_terminal(terminal: int, tmp_path: Path) -> None:
    image = tmp_path / "image"
    result = finished(start("pack", "-", image, stdin=terminal))
    assert result.code == 6
    assert "does not come from a terminal" in result.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [["inspect", SOUND], ["verify", "--json", DAMAGED]])
def test_reader_that_left_is_no_traceback(arguments: list[str]) -> None:
    process = start(*arguments, stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.close()
    process.stdout = None
    assert finished(process) == Result(128 + signal.SIGPIPE, "", "")


def test_unpack_to_a_reader_that_left(tmp_path: Path) -> None:
    image = tmp_path / "image"
    packed = start("pack", "-", image, stdin=subprocess.PIPE)
    assert finished(packed, noise(4 << 20)).code == 0
    process = start("unpack", image, "-", stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.read(PAGE) == noise(PAGE)
    process.stdout.close()
    process.stdout = None
    assert finished(process) == Result(128 + signal.SIGPIPE, "", "")


@pytest.mark.parametrize(
    "arguments", [["inspect", SOUND], ["verify", SOUND], ["unpack", SOUND, "-"]]
)
def test_full_output_is_an_error(arguments: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        result = finished(start(*arguments, stdout=full))
    assert result.code == 6
    assert result.err == "torpor: cannot write the standard output: no space left on device\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_process_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    process = start("pack", "-", tmp_path / "image", stdin=subprocess.PIPE)
    assert process.stdin
    process.stdin.write(bytes(3 << 20))
    process.stdin.flush()
    process.send_signal(number)
    result = finished(process)
    assert (result.code, result.err) == (128 + number, "")
    assert not list(tmp_path.iterdir())
