"""verify, inspect, pack and unpack: what they print and leave, and how they end."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from errors import UnreadableError
from format.pipeline import CHUNK_SIZE
from format.reader import ImageReader
from format.tables import PageTypes
from linux.machine import boot_id
from state.files import write_text
from store.image import FileSink
from tests.forge import PAGE
from tests.sources import read_file
from tests.tools import ROOT, Result, failing, finished, one_message, start
from tests.unit.conftest import Torpor
from tests.vectors.build import FOLDER
from tests.vectors.images import BASE_STREAM, SMALL, noise


def vector(name: str) -> str:
    return str(FOLDER / f"{name}.img")


SOUND, DAMAGED = vector("sound-three-chunks"), vector("chunk-checksum")


# verify and inspect


def test_verify_a_sound_image_in_words_and_json(torpor: Torpor) -> None:
    said = f"{SOUND}: sound: 0.0 MiB in 0.0 MiB, 3 chunks, every byte checked\n"
    assert torpor("verify", SOUND) == Result(0, said, "")
    result = torpor("verify", "--json", SOUND)
    report = json.loads(result.out)
    assert (result.code, result.err) == (0, "")
    assert (report["sound"], report["exit_code"], report["message"]) == (True, 0, "")
    assert (report["path"], report["chunks"], report["stream_bytes"]) == (SOUND, 3, 3 * PAGE)


@pytest.mark.parametrize(
    ("name", "code"), [("chunk-checksum", 4), ("no-magic", 3), ("version-3", 5), ("absent", 6)]
)
def test_verify_json_of_another(torpor: Torpor, name: str, code: int) -> None:
    path = vector(name)
    result = torpor("verify", "--json", path)
    report = json.loads(result.out)
    assert result.code == code
    assert (report["path"], report["sound"], report["exit_code"]) == (path, False, code)
    assert result.err == f"torpor: {report['message']}\n"


def test_inspect_says_the_same_in_words_and_json(torpor: Torpor) -> None:
    facts = json.loads(torpor("inspect", "--json", SOUND).out)
    assert facts["image_uuid"] == "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
    assert facts["created"] == "2026-01-01T00:00:00+00:00"
    assert (facts["host_name"], facts["machine"]) == ("lynx", "x86_64")
    assert facts["stored_bytes"] == os.path.getsize(SOUND)
    assert facts.pop("working_set") is None
    assert facts.pop("page_types") is None
    lines = torpor("inspect", SOUND).out.splitlines()
    assert [line.split(maxsplit=1)[0] for line in lines] == [key.split("_")[0] for key in facts]
    assert all(line.endswith(str(value)) for line, value in zip(lines, facts.values(), strict=True))


def inspected(torpor: Torpor, image: str | Path) -> tuple[dict[str, Any], str]:
    """Return what inspect says of an image, from its JSON and in words."""
    return json.loads(torpor("inspect", "--json", image).out), torpor("inspect", image).out


def test_inspect_shows_the_working_set(torpor: Torpor) -> None:
    facts, words = inspected(torpor, vector("sound-working-set"))
    told = facts["working_set"]
    assert (told["files"], told["file_pages"], told["processes"]) == (3, 1003, 2)
    assert re.search("working set.*3 files with 3 MiB, 2 processes with 2 MiB", words)


def test_inspect_shows_the_page_types(torpor: Torpor, tmp_path: Path) -> None:
    types = PageTypes(30720, 66560, slab=5120, kernel=0, other=0, sample=8192)
    (tmp_path / "image").write_bytes(SMALL.with_tables((5, types.build())).build())
    facts, words = inspected(torpor, tmp_path / "image")
    assert facts["page_types"] == types.by_name() | {"sample": 8192}
    shares = "anonymous 260 MiB (65%), page cache 120 MiB (30%), slab 20 MiB (5%)"
    assert f"about {shares}, by a sample of 32 MiB" in words


def test_inspect_says_what_is_wrong_with_a_table_beside_the_rest(torpor: Torpor) -> None:
    """And does not read the chunks."""
    facts, words = inspected(torpor, vector("working-set-cut"))
    assert facts["working_set"] == {"error": "the working set cannot be read"}
    assert facts["chunks"] == 3
    assert "the working set cannot be read" in words
    assert [torpor("verify", path).code for path in (vector("working-set-cut"), DAMAGED)] == [4, 4]
    assert torpor("inspect", DAMAGED).code == 0


# pack and unpack


@pytest.mark.parametrize("size", [0, PAGE, (2 << 20) + 3 * PAGE])
def test_pack_and_unpack(torpor: Torpor, tmp_path: Path, size: int) -> None:
    """The image holds all of a machine's memory, and is for its owner only."""
    stream, image, back = (tmp_path / name for name in ("stream", "image", "back"))
    stream.write_bytes(noise(size // 2) + bytes(size - size // 2))
    assert torpor("pack", stream, image) == Result(0, "", "")
    assert image.stat().st_mode & 0o777 == 0o600
    assert torpor("unpack", image, back) == Result(0, "", "")
    assert back.read_bytes() == stream.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "image", "stream"]
    facts, _ = inspected(torpor, image)
    assert facts["chunks"] == -(-size // CHUNK_SIZE)
    assert facts["kernel_release"] == os.uname().release


def test_unpack_to_a_fifo(torpor: Torpor, tmp_path: Path) -> None:
    fifo, got = tmp_path / "fifo", []
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: got.append(fifo.read_bytes()))
    reader.start()
    assert torpor("unpack", SOUND, fifo).code == 0
    reader.join(timeout=60)
    assert got == [BASE_STREAM]
    assert fifo.is_fifo()


@pytest.mark.parametrize("before", [None, b"what was here"])
def test_stream_of_half_a_page_leaves_no_image(
    torpor: Torpor, tmp_path: Path, before: bytes | None
) -> None:
    stream, image = tmp_path / "stream", tmp_path / "image"
    stream.write_bytes(bytes(PAGE + PAGE // 2))
    if before is not None:
        image.write_bytes(before)
    result = torpor("pack", stream, image)
    assert (result.code, result.err) == (4, "torpor: the stream ends 2048 bytes into a page\n")
    assert [path.name for path in tmp_path.iterdir() if path != image] == ["stream"]
    assert (image.read_bytes() if image.exists() else None) == before


@pytest.mark.parametrize("name", ["chunk-checksum", "chunk-garbage", "cut-in-chunk", "version-3"])
def test_unpack_of_a_damaged_image_leaves_nothing(
    torpor: Torpor, tmp_path: Path, name: str
) -> None:
    result = torpor("unpack", vector(name), tmp_path / "stream")
    assert result.code in {4, 5}
    assert one_message(result.err)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["chunk-checksum", "sound-three-chunks"])
def test_what_others_call_theirs_is_left_alone(torpor: Torpor, tmp_path: Path, name: str) -> None:
    """Also by records of our own, which every boot and hibernation writes."""
    theirs = tmp_path / "stream.partial"
    theirs.write_bytes(b"precious")
    torpor("unpack", vector(name), tmp_path / "stream")
    write_text(str(tmp_path / "stream"), "record")
    assert theirs.read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stream", "stream.partial"]


def test_folder_in_the_way(torpor: Torpor, tmp_path: Path) -> None:
    (tmp_path / "stream").mkdir()
    result = torpor("unpack", SOUND, tmp_path / "stream")
    assert (result.code, one_message(result.err)) == (6, True)
    with pytest.raises(UnreadableError, match="cannot write"):
        write_text(str(tmp_path / "stream"), "record")
    assert [*tmp_path.iterdir()] == [tmp_path / "stream"]


def test_longest_name(torpor: Torpor, tmp_path: Path) -> None:
    assert torpor("unpack", SOUND, tmp_path / ("x" * 255)).code == 0


def test_failed_sync_is_an_error(
    torpor: Torpor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", failing(OSError(122, "Disk quota exceeded")))
    result = torpor("unpack", SOUND, tmp_path / "stream")
    said = f"torpor: cannot write {tmp_path}/stream: disk quota exceeded\n"
    assert (result.code, result.err) == (6, said)
    assert not list(tmp_path.iterdir())


# What is not an image


def test_missing_file(torpor: Torpor, tmp_path: Path) -> None:
    path = tmp_path / "nowhere"
    missing = f"torpor: cannot open {path}: no such file or directory\n"
    for command in (["verify", path], ["inspect", path], ["unpack", path, tmp_path / "x"]):
        assert torpor(*command) == Result(6, "", missing)
    result = torpor("pack", path, tmp_path / "x")
    assert (result.code, one_message(result.err)) == (6, True)
    is_folder = f"torpor: cannot read {tmp_path}: is a directory\n"
    assert torpor("pack", tmp_path, tmp_path / "x") == Result(6, "", is_folder)
    assert not list(tmp_path.iterdir())


def test_neither_file_nor_device(torpor: Torpor, tmp_path: Path) -> None:
    """Opening a FIFO for reading would wait for ever, so it is asked first."""
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", Path("/dev/null"), Path("/dev/full")):
        for command in ("verify", "inspect", "discard"):
            said = f"torpor: {path} is neither a file nor a block device\n"
            assert torpor(command, path) == Result(6, "", said)


def test_unreadable_file(torpor: Torpor, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"x" * PAGE)
    path.chmod(0)
    tmp_path.chmod(0o755)
    before = os.geteuid()
    try:
        os.seteuid(before or 65534)
        result = torpor("verify", path)
    finally:
        os.seteuid(before)
    assert (result.code, one_message(result.err)) == (6, True)
    assert "permission denied" in result.err


@pytest.mark.parametrize("target", ["/dev/full", "/", "/nowhere/image"])
def test_target_that_cannot_be_written(torpor: Torpor, target: str) -> None:
    for command, source in (("unpack", SOUND), ("pack", vector("zeros"))):
        result = torpor(command, source, target)
        assert (result.code, one_message(result.err)) == (6, True)
        assert result.err.startswith(f"torpor: cannot write {target}: ")


def test_errors_inside_are_not_swallowed(torpor: Torpor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged image is a message; a mistake of ours is a traceback."""
    assert "wrong checksum" in torpor("verify", DAMAGED).err
    monkeypatch.setattr(ImageReader, "stream", failing(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        torpor("verify", SOUND)


def test_what_the_system_refuses_is_a_message(
    torpor: Torpor, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = FileNotFoundError(2, "No such file or directory", "/proc/x")
    monkeypatch.setattr("torpor.commands.status.boot_id", failing(gone))
    expected = Result(6, "", "torpor: cannot use /proc/x: no such file or directory\n")
    assert torpor("status") == expected
    monkeypatch.setattr("linux.machine.read", lambda _: "x\n")
    monkeypatch.setattr("torpor.commands.status.boot_id", boot_id)
    assert torpor("status").err.endswith("boot_id: invalid argument\n")
    monkeypatch.setattr("torpor.commands.status.boot_id", failing(OSError(5, "I/O error")))
    assert re.fullmatch(r"torpor: cannot use \S+\.py:\d+: i/o error\n", torpor("status").err)


def test_interrupt(torpor: Torpor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageReader, "stream", failing(KeyboardInterrupt()))
    assert torpor("unpack", SOUND, tmp_path / "stream") == Result(130, "", "")
    assert not list(tmp_path.iterdir())


def test_files_are_written_out_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part once, in order; what takes no advice, a pipe, is written all the same."""
    parts: list[tuple[int, int]] = []

    def advise(_fd: int, offset: int, size: int, _advice: int) -> None:
        parts.append((offset, size))
        raise OSError(29, "Illegal seek")

    monkeypatch.setattr(os, "posix_fadvise", advise)
    path, part = tmp_path / "file", noise(5 << 20)
    with path.open("wb") as out:
        sink = FileSink(out.fileno(), "file")
        for _ in range(5):
            sink.write(memoryview(part))
    assert parts == [(0, 10 << 20), (10 << 20, 10 << 20)]
    assert path.read_bytes() == part * 5


@pytest.mark.parametrize("name", ["lz4", "lz4hc", "zstd", "none"])
def test_pack_with_each_codec(torpor: Torpor, tmp_path: Path, name: str) -> None:
    stream, image = tmp_path / "stream", tmp_path / "image"
    stream.write_bytes(b"abcdefgh" * 100 * PAGE + noise(PAGE) + bytes(PAGE << 9))
    assert torpor("pack", "--codec", name, stream, image).code == 0
    assert read_file(image) == stream.read_bytes()
    assert (image.stat().st_size < 60_000) == (name != "none")
    assert torpor("pack", "--codec", "gzip", stream, image).code == 2


# Pipes, terminals and signals: the command as a process of its own


def test_pack_from_a_pipe_that_dribbles_and_unpack_to_one(tmp_path: Path) -> None:
    stream, image = noise(40 * PAGE), tmp_path / "image"
    process = start("pack", "-", image, stdin=subprocess.PIPE)
    assert process.stdin
    for at in range(0, len(stream), 3000):
        process.stdin.write(stream[at : at + 3000])
        process.stdin.flush()
    assert finished(process) == Result(0, "", "")
    assert read_file(image) == stream
    process = start("unpack", image, "-", stdout=subprocess.PIPE)
    assert process.communicate(timeout=60)[0] == stream
    assert process.returncode == 0


def test_name_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"ima\xffge")
    path.write_bytes(Path(SOUND).read_bytes())
    for arguments in (["verify"], ["verify", "--json"], ["inspect"]):
        result = finished(start(*arguments, path, stdout=subprocess.PIPE))
        assert (result.code, result.err) == (0, "")
        assert "udcff" in result.out


@pytest.fixture
def terminal() -> Iterator[int]:
    controller, user = pty.openpty()
    yield user
    os.close(user)
    os.close(controller)


def test_no_stream_to_or_from_a_terminal(terminal: int, tmp_path: Path) -> None:
    result = finished(start("unpack", SOUND, "-", stdout=terminal))
    assert (result.code, one_message(result.err)) == (6, True)
    assert "is not for a terminal" in result.err
    result = finished(start("pack", "-", tmp_path / "image", stdin=terminal))
    assert result.code == 6
    assert "does not come from a terminal" in result.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [["inspect", SOUND], ["verify", "--json", DAMAGED]])
def test_reader_that_left_is_no_traceback(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as out:
        assert finished(start(*arguments, stdout=out)) == Result(128 + signal.SIGPIPE, "", "")


def test_unpack_to_a_reader_that_left(tmp_path: Path) -> None:
    """And, before that, a stream from a pipe."""
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
    said = "torpor: cannot write the standard output: no space left on device\n"
    with open("/dev/full", "wb") as full:
        assert finished(start(*arguments, stdout=full)) == Result(6, "", said)


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


def test_stdin_may_be_closed(tmp_path: Path) -> None:
    """What is opened then is not taken for the stream."""
    words = [sys.executable, "-m", "torpor", "pack", "-", str(tmp_path / "image")]
    shell = ["sh", "-c", 'exec "$@" <&-', "sh", *words]
    done = subprocess.run(shell, check=False, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
