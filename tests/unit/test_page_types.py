"""What a snapshot consists of: its frame numbers joined with what the kernel says of the frames."""

import struct
from array import array
from pathlib import Path

import pytest

from format.tables import PageTypes
from hibernate.page_types import PageTypeCounter
from linux import memory

PAGE = 4096
ZERO = 1 << 63

# include/uapi/linux/kernel-page-flags.h, by its numbers.
SLAB, BUDDY, TAIL, NO_PAGE = 1 << 7, 1 << 10, 1 << 16, 1 << 20
CACHE = 1 << 5
SHMEM = CACHE | 1 << 14
ANON = SHMEM | 1 << 12


@pytest.fixture
def flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file to stand for /proc/kpageflags; one frame of each kind at first."""
    path = tmp_path / "kpageflags"
    monkeypatch.setattr(memory, "PAGE_FLAGS", str(path))
    put(path, 0, ANON, SHMEM, CACHE, SLAB, 0, BUDDY, NO_PAGE)
    return path


def put(path: Path, *values: int) -> None:
    path.write_bytes(struct.pack(f"={len(values)}Q", *values))


def stream(frames: list[int], zeros: int = 0) -> bytes:
    """Return a stream of these frames; `zeros` of them have the flag, and no page of data."""
    numbers = array("Q", frames).tobytes()
    if len(numbers) % PAGE:
        numbers += b"\xff" * 8
    numbers += bytes(-len(numbers) % PAGE)
    data = len(frames) - zeros
    pages = 1 + len(numbers) // PAGE + data
    info = bytes(416) + struct.pack("=QQ", data, pages)
    return info.ljust(PAGE, b"\0") + numbers + b"\xaa" * data * PAGE


def counted(data: bytes, step: int = 3 * PAGE) -> PageTypes | None:
    counter = PageTypeCounter()
    for at in range(0, len(data), step):
        counter.see(memoryview(data)[at : at + step])
    found = counter.result()
    counter.close()
    return found


@pytest.mark.parametrize("step", [PAGE, 3 * PAGE, 1 << 20])
def test_each_kind(step: int, flags: Path) -> None:
    found = counted(stream(list(range(8))), step)
    assert found == PageTypes(page_cache=1, anonymous=2, slab=1, kernel=2, other=2)


def test_frames_with_gaps_and_pages_of_zeros(flags: Path) -> None:
    found = counted(stream([1 | ZERO, 3, 5, 6 | ZERO], zeros=2))
    assert found == PageTypes(page_cache=1, anonymous=1, slab=0, kernel=1, other=1)


def test_many_frames_far_apart(flags: Path) -> None:
    frames = [*range(700), *range(20_000, 20_700), *range(90_000, 90_010)]
    values = [CACHE] * 20_000 + [ANON] * 70_000 + [SLAB] * 10
    put(flags, *values)
    found = counted(stream(frames))
    assert found == PageTypes(page_cache=700, anonymous=700, slab=10, kernel=0, other=0)


def test_tails_are_what_their_heads_are(flags: Path) -> None:
    """Also where head and tail come in different pages of numbers."""
    values = [0] * 510 + [CACHE, TAIL, TAIL, TAIL, ANON, ANON | TAIL, 0, TAIL]
    put(flags, *values)
    found = counted(stream(list(range(len(values)))), PAGE)
    assert found == PageTypes(page_cache=4, anonymous=2, slab=0, kernel=512, other=0)


@pytest.mark.parametrize(
    ("data", "trouble"),
    [
        (b"\x11" * PAGE * 3, "does not begin as the kernel's does"),
        (bytes(PAGE), "does not begin as the kernel's does"),
        (stream([5, 9_999]), "ends before page frame 9999"),
    ],
)
def test_what_is_not_understood_is_not_counted(data: bytes, trouble: str, flags: Path) -> None:
    counter = PageTypeCounter()
    counter.see(memoryview(data))
    assert counter.result() is None
    assert trouble in counter.trouble
    counter.see(memoryview(data))
    assert counter.result() is None


def test_a_stream_that_ends_too_early_is_not_counted(flags: Path) -> None:
    assert counted(stream(list(range(8)) * 200)[: 2 * PAGE]) is None


def test_kernel_without_page_flags(flags: Path) -> None:
    flags.unlink()
    counter = PageTypeCounter()
    counter.see(memoryview(stream([1])))
    assert counter.result() is None
    assert "cannot be read: No such file" in counter.trouble


def test_flags_of_this_machine() -> None:
    found = PageTypeCounter()
    if found.trouble:
        pytest.skip(found.trouble)
    found.see(memoryview(stream(list(range(256, 100_000)))))
    types = found.result()
    found.close()
    assert types is not None
    assert types.total == 100_000 - 256
    assert types.kernel > 0
