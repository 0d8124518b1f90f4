"""An initramfs that is small as a file, and has no end, or no measure, once it is unpacked."""

import gzip
import lzma
import stat
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from errors import InitramfsError
from initramfs.archive import initramfs
from initramfs.archive.initramfs import Initramfs, Source, as_text, read_initramfs
from tests.unit.fake_initramfs import TRAILER, archive, member

FILE = stat.S_IFREG | 0o644


@pytest.fixture(name="read")
def _read(tmp_path: Path) -> Callable[[bytes], Initramfs]:
    def read(data: bytes) -> Initramfs:
        path = tmp_path / "initrd"
        path.write_bytes(data)
        return read_initramfs(
            Source((str(path),)), lambda name: None if name == "zeros" else as_text
        )

    return read


Read = Callable[[bytes], Initramfs]


def endless(name: str, size: int) -> bytes:
    """Return a file of so many zeros."""
    header = bytearray(member(name, FILE, b""))
    header[54:62] = f"{size:08X}".encode()
    return bytes(header) + bytes(size)


@pytest.mark.parametrize("parts", [1, 8])
def test_what_unpacks_to_more_than_there_can_be(
    parts: int, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one part or in many, each of which is small enough."""
    monkeypatch.setattr(initramfs, "_UNPACKED_LIMIT", 16 << 20)
    part = endless("zeros", (32 << 20) // parts)
    whole = gzip.compress(part + TRAILER) * parts
    assert len(whole) < 64 << 10
    with pytest.raises(InitramfsError, match="unpacks to more than 16 MiB"):
        read(whole)
    monkeypatch.setattr(initramfs, "_UNPACKED_LIMIT", 64 << 20)
    assert "zeros" in read(whole)


def test_a_file_of_zeros_has_an_end(
    tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Padding that a sparse file has for nothing."""
    monkeypatch.setattr(initramfs, "_UNPACKED_LIMIT", 16 << 20)
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InitramfsError, match="more than 16 MiB"):
        read_initramfs(Source((str(path),)), lambda _name: None)


@pytest.mark.parametrize(
    ("made", "count"),
    [
        (lambda nth: member(f"{nth:05}".ljust(4000, "n"), FILE, b""), 17_000),
        (lambda nth: member(f"{nth}", stat.S_IFLNK | 0o777, b"t" * 4000), 17_000),
        (lambda nth: member(f"{nth}", FILE, b"text" * 1000), 5_000),
        (lambda nth: member(f"{nth}", FILE, b"text" * (1 << 20)), 5),
    ],
)
def test_names_and_texts(made: Callable[[int], bytes], count: int, read: Read) -> None:
    whole = gzip.compress(b"".join(map(made, range(count))) + TRAILER, 1)
    tracemalloc.start()
    with pytest.raises(InitramfsError, match="longer than there can be"):
        read(whole)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 90 << 20


def test_a_dictionary_of_gigabytes(read: Read) -> None:
    """It is the header's word only."""
    packed = bytearray(lzma.compress(archive({"a": b"b"}), lzma.FORMAT_ALONE))
    assert "a" in read(bytes(packed))
    packed[1:5] = (1 << 30).to_bytes(4, "little")
    with pytest.raises(InitramfsError, match="lzma data is damaged: Memory usage limit"):
        read(bytes(packed))


class Counted(dict[str, str]):
    """Counts how often it is written to."""

    writes = 0

    def __setitem__(self, key: str, value: str) -> None:
        self.writes += 1
        super().__setitem__(key, value)


@pytest.mark.parametrize("data", [b"", b"x"])
def test_many_names_of_a_file(data: bytes, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time the contents come with a name, or with the last one alone."""
    entries = Counted()
    made = Initramfs()
    made.entries = entries
    monkeypatch.setattr(initramfs, "Initramfs", lambda: made)
    links = partial(member, mode=FILE, inode=7, links=3000)
    names = [links(f"n{nth}", data=data) for nth in range(2999)]
    image = read(b"".join([*names, links("last", data=b"x")]) + TRAILER)
    assert image.text("n0") == image.text("n1700") == image.text("last") == "x"
    assert entries.writes < 4 * 3000
