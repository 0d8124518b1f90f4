"""Sealed images by the commands: who gets at them, and that nothing of them can be changed."""

import json
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from format import reader
from format.pipeline import CHUNK_SIZE
from seal import age
from tests.forge import PAGE
from tests.forge_sealed import IDENTITY
from tests.sources import opened, outcome, read_file
from tests.tools import Result
from tests.unit.conftest import Torpor
from tests.unit.test_format_vectors import places_in
from tests.vectors import build
from tests.vectors.devices import MAP
from tests.vectors.images import SMALL, TABLED, noise

REFUSALS = {3, 4, 5, 23, 24}
TWO_CHUNKS, SWAP = (
    build.FOLDER / f"sound-sealed-{name}.img" for name in ("two-chunks", "swap-scattered")
)
every_byte = pytest.mark.parametrize(
    "every", [pytest.param(True, marks=pytest.mark.long), False], ids=["every", "most"]
)


class Folder:
    """A folder with a stream and the keys of two, `ours` and `theirs`."""

    def __init__(self, path: Path, torpor: Torpor) -> None:
        self.path = path
        self.torpor = torpor
        self.stream, self.image, self.back = (path / name for name in ("stream", "image", "back"))
        self.ours, self.theirs = path / "ours", path / "theirs"
        self.to_us, self.to_them = (
            torpor("key", "generate", key).out.strip() for key in (self.ours, self.theirs)
        )

    def pack(self, stream: bytes, *recipients: str) -> None:
        self.stream.write_bytes(stream)
        words = [word for one in recipients for word in ("--recipient", one)]
        assert self.torpor("pack", *words, self.stream, self.image) == Result(0, "", "")

    def unpacked(self, key: Path) -> bytes:
        assert self.torpor("unpack", "--identity", key, self.image, self.back).code == 0
        return self.back.read_bytes()

    def verify(self, *words: str | Path) -> Result:
        return self.torpor("verify", *words, self.image)


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, torpor: Torpor) -> Folder:
    return Folder(tmp_path, torpor)


# pack, verify, inspect, unpack


@pytest.mark.parametrize("size", [0, PAGE, 2 * CHUNK_SIZE + 3 * PAGE])
@pytest.mark.parametrize("codec", ["lz4", "zstd", "none"])
def test_round_trip(folder: Folder, size: int, codec: str) -> None:
    stream = noise(size // 2) + bytes(size - size // 2)
    folder.stream.write_bytes(stream)
    words = ("--codec", codec, "--recipient", folder.to_us, folder.stream, folder.image)
    assert folder.torpor("pack", *words) == Result(0, "", "")
    assert folder.image.stat().st_mode & 0o777 == 0o600
    assert folder.unpacked(folder.ours) == stream
    said = folder.verify("--identity", folder.ours)
    assert (said.code, said.err, "every byte checked" in said.out) == (0, "", True)


def test_each_of_two_recipients_opens_it(folder: Folder) -> None:
    folder.pack(noise(PAGE), folder.to_them, folder.to_us.upper(), folder.to_us)
    assert folder.unpacked(folder.ours) == folder.unpacked(folder.theirs) == noise(PAGE)


def test_another_key_does_not(folder: Folder) -> None:
    folder.pack(noise(PAGE), folder.to_us)
    words = ("--identity", folder.theirs, folder.image)
    for command in (("verify",), ("inspect",), ("unpack", folder.back)):
        done = folder.torpor(command[0], *words, *command[1:])
        assert (done.code, done.out) == (23, "")
        assert f"not sealed for {folder.to_them}" in done.err
    assert not folder.back.exists()


def test_what_is_not_sealed_is_no_sealed_image(folder: Folder) -> None:
    """Somebody may have put it in the place of one."""
    folder.pack(noise(PAGE))
    for command in (("verify",), ("inspect",), ("unpack", folder.back)):
        done = folder.torpor(command[0], "--identity", folder.ours, folder.image, *command[1:])
        assert (done.code, done.out) == (24, "")
        assert "the image is not sealed: nothing tells who made it" in done.err
    assert not folder.back.exists()


def test_without_the_key(folder: Folder) -> None:
    """Verify checks what it can; unpack gives nothing."""
    folder.pack(noise(2 * PAGE), folder.to_us)
    done = folder.verify("--json")
    report = json.loads(done.out)
    assert (done.code, report["exit_code"], report["sound"]) == (22, 22, None)
    assert "whether anybody changed it, only its key tells" in report["message"]
    done = folder.torpor("unpack", folder.image, folder.back)
    assert (done.code, "its key is not there" in done.err) == (22, True)
    assert not folder.back.exists()
    data = folder.image.read_bytes()
    folder.image.write_bytes(data[: 3 * PAGE] + b"?" + data[3 * PAGE + 1 :])
    report = json.loads(folder.verify("--json").out)
    assert (report["exit_code"], report["sound"]) == (4, False)


def test_inspect(folder: Folder) -> None:
    folder.pack(noise(PAGE), folder.to_us)
    for words in ((), ("--identity", str(folder.ours))):
        facts = json.loads(folder.torpor("inspect", "--json", *words, folder.image).out)
        assert (facts["sealed"], facts["chunks"], facts["page_types"]) == (True, 1, None)
    tables = build.FOLDER / "sound-sealed-tables.img"
    with_key = json.loads(
        folder.torpor("inspect", "--json", "--identity", build.IDENTITY, tables).out
    )
    without = json.loads(folder.torpor("inspect", "--json", tables).out)
    assert with_key["working_set"]["files"] == 3
    assert without["working_set"] is None
    folder.pack(noise(PAGE))
    assert json.loads(folder.torpor("inspect", "--json", folder.image).out)["sealed"] is False


@pytest.mark.parametrize(
    ("recipient", "says"),
    [
        ("age1", "no key in the text of age"),
        ("", "no key in the text of age"),
        ("AGE-SECRET-KEY-1V3JKVEMGD94XKMRDD", "no key in the text of age"),
        # With which every secret is known.
        (age.recipient_text(bytes(32)), "is no key that can be used"),
    ],
)
def test_a_recipient_that_is_none(folder: Folder, recipient: str, says: str) -> None:
    folder.stream.write_bytes(noise(PAGE))
    done = folder.torpor("pack", "--recipient", recipient, folder.stream, folder.image)
    assert (done.code, done.out, says in done.err) == (2, "", True)
    assert not folder.image.exists()


# What lies on the disk


def test_nothing_of_the_stream_can_be_read(folder: Folder) -> None:
    stream = noise(CHUNK_SIZE + PAGE)
    pieces = {stream[at : at + 32] for at in range(0, len(stream), PAGE)}
    folder.pack(stream)
    assert len(found(pieces, folder.image)) == len(pieces)
    folder.pack(stream, folder.to_us)
    assert not found(pieces, folder.image)


def test_nothing_of_the_tables_can_be_read() -> None:
    known = {b"Testing 9000", b"/home", b"/dev/vda1", b"System RAM"}
    assert all(word in TABLED.build() for word in known)
    assert not found(known, build.FOLDER / "sound-sealed-tables.img")


def found(pieces: Iterable[bytes], path: Path) -> list[bytes]:
    data = path.read_bytes()
    return [piece for piece in pieces if piece in data]


def test_the_same_stream_twice_has_nothing_in_common(folder: Folder) -> None:
    """Who has both images does not see what has changed in between."""
    made = []
    for _ in range(2):
        folder.pack(bytes(CHUNK_SIZE) + noise(8 * PAGE), folder.to_us)
        data = folder.image.read_bytes()
        made.append({data[at : at + PAGE] for at in range(0, len(data), PAGE)})
    assert made[0] & made[1] <= {bytes(PAGE)}


# Every byte of an image


@pytest.fixture
def _without_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "in_order", lambda jobs, *_, **__: (job() for job in jobs))


@every_byte
@pytest.mark.usefixtures("_without_threads")
def test_every_changed_byte_is_noticed(tmp_path: Path, *, every: bool) -> None:
    data = TWO_CHUNKS.read_bytes()
    assert_noticed(tmp_path, data, range(len(data)) if every else places_in(data[: 3 * PAGE]))
    if not every:
        assert_noticed(tmp_path, data, (4 * PAGE + at for at in places_in(data[4 * PAGE :])))


@every_byte
@pytest.mark.usefixtures("_without_threads")
def test_every_changed_byte_of_swap_is_noticed(tmp_path: Path, *, every: bool) -> None:
    """That belongs to the image: mark, signature, map."""
    data = SWAP.read_bytes()
    table = range(PAGE) if every else places_in(data[MAP * PAGE : (MAP + 1) * PAGE])
    places = [*range(1280, 1536), *range(4086, 4096), *(MAP * PAGE + at for at in table)]
    assert_noticed(tmp_path, data, places)


def assert_noticed(folder: Path, data: bytes, places: Iterable[int]) -> None:
    path = folder / "changed"
    path.write_bytes(data)
    sound = outcome(lambda: read_file(path, build.IDENTITY))
    assert isinstance(sound, bytes)
    with opened(path) as fd:
        for at in places:
            os.pwrite(fd, bytes([data[at] ^ 1 << at % 8]), at)
            assert outcome(lambda: read_file(path, build.IDENTITY)) in REFUSALS, at
            os.pwrite(fd, data[at : at + 1], at)
    assert outcome(lambda: read_file(path, build.IDENTITY)) == sound


@pytest.mark.usefixtures("_without_threads")
def test_every_length_cut_off_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "cut"
    data = TWO_CHUNKS.read_bytes()
    for size in (*range(0, len(data), 61), *range(len(data) - 200, len(data))):
        path.write_bytes(data[:size])
        assert outcome(lambda: read_file(path, build.IDENTITY)) == (4 if size >= 8 else 3)


# Keys in files


def test_key_generate(folder: Folder) -> None:
    text = folder.ours.read_text()
    assert folder.ours.stat().st_mode & 0o777 == 0o600
    assert text.startswith(f"# public key: {folder.to_us}\nAGE-SECRET-KEY-1")
    assert folder.to_us.startswith("age1")
    assert folder.to_us != folder.to_them
    done = folder.torpor("key", "generate", folder.ours)
    assert (done.code, done.out, "file exists" in done.err) == (6, "", True)
    assert folder.ours.read_text() == text


def test_key_generate_where_it_cannot(folder: Folder) -> None:
    """Nothing is printed that nobody has the key of."""
    done = folder.torpor("key", "generate", folder.path / "absent/key")
    assert (done.code, done.out) == (6, "")
    assert "no such file or directory" in done.err
    os.symlink(folder.path / "elsewhere", folder.path / "link")
    done = folder.torpor("key", "generate", folder.path / "link")
    assert (done.code, done.out) == (6, "")
    assert not (folder.path / "elsewhere").exists()
    done = folder.torpor("key", "generate", "/proc/key")
    assert (done.code, done.out) == (6, "")


def test_a_key_whose_disk_is_full(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    done = folder.torpor("key", "generate", folder.path / "new")
    assert (done.code, done.out) == (6, "")
    assert not (folder.path / "new").exists()


def key_text(folder: Folder) -> str:
    return folder.ours.read_text().splitlines()[1]


@pytest.mark.parametrize(
    "form",
    [
        "{}",
        "{}\r\n",
        "# one\r\n\r\n  {}\t\r\n# another\r\n",
        "\n\n{}",
        "# a comment that is no UTF-8: \udcff\n{}\n",
    ],
)
@pytest.mark.parametrize("lower", [False, True])
def test_an_identity_that_is_understood(folder: Folder, form: str, *, lower: bool) -> None:
    folder.pack(noise(PAGE), folder.to_us)
    key = key_text(folder)
    file = folder.path / "identity"
    written = form.format(key.lower() if lower else key)
    file.write_bytes(written.encode("utf-8", "surrogateescape"))
    assert folder.verify("--identity", file).code == 0


@pytest.mark.parametrize(
    "form",
    [
        "",
        "# nothing but a comment\n",
        "{}\n{}\n",
        "{}x\n",
        "x{}\n",
        "{} # with a comment\n",
        "\0{}",
        "\ufeff{}",
    ],
)
def test_an_identity_that_is_none(folder: Folder, form: str) -> None:
    folder.pack(noise(PAGE), folder.to_us)
    key = key_text(folder)
    refused(folder, form.format(key, key).encode(), 15, key)


def test_an_identity_of_mixed_case_or_public(folder: Folder) -> None:
    folder.pack(noise(PAGE), folder.to_us)
    key = key_text(folder)
    refused(folder, (key[:40] + key[40:].lower()).encode(), 15, key)
    refused(folder, folder.to_us.encode(), 15, key)
    refused(folder, IDENTITY, 15, key)


def test_an_identity_that_is_too_large(folder: Folder) -> None:
    folder.pack(noise(PAGE), folder.to_us)
    key = key_text(folder)
    refused(folder, noise(1 << 20), 6, key)
    refused(folder, (b"#" * (1 << 20)) + b"\n" + key.encode(), 6, key)


def refused(folder: Folder, identity: bytes, code: int, secret: str) -> None:
    """Check that the file is refused, and that what it holds is not said."""
    file = folder.path / "identity"
    file.write_bytes(identity)
    done = folder.verify("--identity", file)
    assert (done.code, done.out) == (code, "")
    assert str(file) in done.err
    assert secret[20:40].lower() not in done.err.lower()


def test_an_identity_that_is_no_file(folder: Folder) -> None:
    """Nobody waits for who writes into a pipe."""
    folder.pack(noise(PAGE), folder.to_us)
    os.mkfifo(folder.path / "pipe")
    for name, code in (("pipe", 15), ("", 6), ("absent", 6)):
        done = folder.verify("--identity", folder.path / name)
        assert (done.code, done.out) == (code, "")
        assert str(folder.path / name) in done.err


@contextmanager
def writing(*pieces: bytes) -> Iterator[str]:
    """Return the path of a pipe into which they are written in a while, as by a shell's <()."""
    end, own = os.pipe()

    def write() -> None:
        with suppress(BrokenPipeError), open(own, "wb", buffering=0) as file:
            for piece in pieces:
                time.sleep(0.2)
                file.write(piece)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield f"/dev/fd/{end}"
    finally:
        os.close(end)
        thread.join()


def test_an_identity_that_a_command_writes(folder: Folder) -> None:
    folder.pack(noise(PAGE), folder.to_us)
    data = folder.ours.read_bytes()
    with writing(data[:20], data[20:]) as path:
        assert folder.verify("--identity", path).code == 0
    with writing() as path:
        done = folder.verify("--identity", path)
    assert (done.code, f"{path}: a file with one identity has one line" in done.err) == (15, True)
    with writing(b"# " * (1 << 20), data) as path:
        done = folder.verify("--identity", path)
    assert (done.code, "file too large" in done.err) == (6, True)


def test_an_identity_is_asked_for_before_the_image(folder: Folder) -> None:
    folder.image.write_bytes(SMALL.build())
    assert folder.verify("--identity", folder.path / "absent").code == 6
