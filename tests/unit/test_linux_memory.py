"""The kernel's answers about memory, and what is opened without being followed."""

import errno
import mmap
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from linux import PAGE_SIZE, opening, process_memory, tasks
from linux.libc import quick
from linux.page_cache import Residency, largest_readahead, runs
from linux.process_memory import PAGE_OUT, WILL_NEED, Mapping, advise
from tests.sources import opened
from tests.tools import python
from tests.unit.cached_files import drop, read_pages

SLEEPER = """
import mmap, sys
room = mmap.mmap(-1, 300 * 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
shared = mmap.mmap(-1, 50 * 4096)
for page in range(100, 200):
    room[page * 4096] = 7
for page in range(20):
    shared[page * 4096] = 7
import ctypes
place = lambda it: ctypes.addressof(ctypes.c_char.from_buffer(it))
print(place(room), place(shared), flush=True)
sys.stdin.read()
"""


@contextmanager
def sleeper(*fds: int) -> Iterator[tuple[int, int, int]]:
    """Yield id and two addresses of a process: pages 100 to 199 of one, 0 to 19 of the other.

    It has these descriptors open.
    """
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=fds
    ) as process:
        assert process.stdout
        private, shared = process.stdout.readline().split()
        yield process.pid, int(private), int(shared)
        process.kill()


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        (b"", []),
        (b"\0\0", []),
        (b"\1", [(0, 1)]),
        (b"\0\1\1\0\0\1", [(1, 2), (5, 1)]),
        (b"\1\1\0", [(0, 2)]),
    ],
)
def test_runs(flags: bytes, found: list[tuple[int, int]]) -> None:
    assert runs(flags) == found


@pytest.fixture(params=[True, False], ids=["cachestat", "mincore"])
def residency(request: pytest.FixtureRequest) -> Residency:
    """One that asks in one way or the other."""
    made = Residency()
    made.has_cachestat = request.param
    return made


def test_resident_pages_of_a_file(residency: Residency, on_disk: Path) -> None:
    path = on_disk / "file"
    path.write_bytes(os.urandom(1000 * PAGE_SIZE + 17))
    drop(path, sync=True)
    read_pages(path, 3, 4, 5, 1000)
    with opened(path) as fd:
        assert residency.of_file(fd) == [(3, 3), (1000, 1)]


def test_a_large_file_is_looked_at_in_pieces(residency: Residency, on_disk: Path) -> None:
    """Pieces of 64 MiB; what is not cached lies across the end of the first."""
    (on_disk / "file").write_bytes(bytes(192 << 20))
    with opened(on_disk / "file") as fd:
        os.fsync(fd)
        os.posix_fadvise(fd, 60 << 20, 8 << 20, os.POSIX_FADV_DONTNEED)
        assert residency.of_file(fd) == [(0, 15 << 10), (17 << 10, 31 << 10)]


def test_a_sparse_file_takes_no_time(
    residency: Residency, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[object] = []
    really = quick.mincore

    def count(*arguments: object) -> int:
        looks.append(arguments)
        return int(really(*arguments))

    monkeypatch.setattr(quick, "mincore", count)
    with (tmp_path / "file").open("w+b") as file:
        file.truncate(8 << 40)
        os.pwrite(file.fileno(), b"x" * 2 * PAGE_SIZE, (5 << 40) - PAGE_SIZE)
        assert residency.of_file(file.fileno()) == [((5 << 40) // PAGE_SIZE - 1, 2)]
        assert len(looks) <= 2
        looks.clear()
        late = Residency(lambda: True)
        late.has_cachestat = residency.has_cachestat
        assert (late.of_file(file.fileno()), looks) == ([], [])


@pytest.mark.parametrize(
    ("below", "path", "number"),
    [
        ("below", b"../file", errno.EXDEV),
        ("below", b"/etc/passwd", errno.EXDEV),
        ("", b"link", errno.ELOOP),
        ("", b"around/file", errno.ELOOP),
        ("/", b"proc/self/maps", errno.EXDEV),
        ("", b"none", errno.ENOENT),
    ],
)
def test_nothing_is_followed(below: str, path: bytes, number: int, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "around").symlink_to(tmp_path)
    (tmp_path / "below").mkdir()
    with opened(tmp_path, os.O_RDONLY) as folder:
        os.close(opening.open_below(folder, b"file", os.O_RDONLY))
    with opened(tmp_path / below, os.O_RDONLY) as folder:  # noqa: SIM117
        with pytest.raises(OSError, match=os.strerror(number)):
            opening.open_below(folder, path, os.O_RDONLY)


def test_handles(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"by its handle")
    with opened(path) as fd:
        try:
            handle = opening.handle_of(fd)
        except OSError as error:
            pytest.skip(f"no handles here: {error}")
    with opened(tmp_path, os.O_RDONLY) as folder:
        found = opening.open_handle(folder, handle, os.O_PATH | os.O_NOFOLLOW)
        with open(opening.reopen(found, os.O_RDONLY), "rb") as again:
            assert again.read() == b"by its handle"
        os.close(found)
        path.unlink()
        with pytest.raises(OSError, match="Stale"):
            opening.open_handle(folder, handle, os.O_PATH)
        with pytest.raises(OSError, match="Invalid"):
            opening.open_handle(folder, b"", os.O_PATH)


MAPS = b"""\
55d0-55d2 r--p 00000000 fe:01 1234                       /usr/bin/a b
7f00000000-7f00001000 rw-p 00000000 00:00 0
7ffc-7ffd ---p 00000000 00:00 0                          [stack]
7f10-7f11 rw-s 00000000 00:01 3    /memfd:x\\012y (deleted)
"""


def test_mappings() -> None:
    program, heap, stack, memfd = parsed = process_memory.parse_mappings(MAPS)
    assert program == Mapping(0x55D0, 0x55D2, True, False, os.makedev(0xFE, 1), b"/usr/bin/a b")
    assert (heap.path, stack.path) == (b"", b"[stack]")
    assert (memfd.path, memfd.device) == (b"/memfd:x\\012y (deleted)", os.makedev(0, 1))
    assert [mapping.is_shared for mapping in parsed] == [False, False, False, True]
    assert [mapping.is_accessible for mapping in parsed] == [True, True, False, True]
    assert process_memory.parse_mappings(b"7f00-7f01 rw-p 0 0\n" + MAPS + b"what\n\n") == parsed


def test_memory_of_a_process() -> None:
    with sleeper() as (pid, private, shared):
        first = private // PAGE_SIZE
        with process_memory.PageMap(pid) as pages:
            entries = pages.read(first, 300)
            assert process_memory.resident(entries, shared=False) == [(100, 100)]
            assert process_memory.swapped(entries) == []
            entries = pages.read(shared // PAGE_SIZE, 50)
            assert process_memory.resident(entries, shared=False) == []
            assert process_memory.resident(entries, shared=True) == [(0, 20)]
            assert process_memory.absent(entries) == [(20, 30)]
        mine = [m for m in process_memory.mappings(pid) if m.start <= shared < m.end]
        assert mine[0].device == process_memory.shared_memory_device()


def test_swapped_pages_are_joined_where_they_lie_together() -> None:
    def entry(area: int, offset: int) -> int:
        return 1 << 62 | offset << 5 | area

    words = [0, entry(0, 7), entry(0, 8), entry(0, 10), entry(1, 11), 1 << 63, entry(1, 12)]
    found = process_memory.swapped(struct.pack("=7Q", *words))
    assert found == [(1, 2, 7), (3, 1, 10), (4, 1, 1 << 50 | 11), (6, 1, 1 << 50 | 12)]


def test_advice_for_a_process() -> None:
    """What is not mapped is refused, or not touched."""
    nowhere, size = PAGE_SIZE, 10 * PAGE_SIZE
    with sleeper() as (pid, private, _shared), os.fdopen(os.pidfd_open(pid)) as file:
        pidfd = file.fileno()
        assert tasks.start_of(pid) > 0
        ranges = [(private, size), (private, PAGE_SIZE)]
        assert advise(pidfd, ranges, WILL_NEED) == 11 * PAGE_SIZE
        assert advise(pidfd, [(private, size)], PAGE_OUT) == size
        for what in (WILL_NEED, PAGE_OUT):
            with pytest.raises(OSError, match="memory"):
                advise(pidfd, [(nowhere, PAGE_SIZE)], what)
        pages = [private + page * PAGE_SIZE for page in range(300)]
        assert process_memory.touch(pid, pages) == 300
        assert process_memory.touch(pid, [nowhere, private, nowhere, private, nowhere]) == 2
        assert process_memory.touch(pid, []) == 0
        with pytest.raises(OSError, match="No such process"):
            process_memory.touch((1 << 31) - 1, [private])


def test_idle() -> None:
    """By ioprio_get(2), too."""
    ask = "print(os.nice(0), ctypes.CDLL(None).syscall(252, 1, 0) >> 13)"
    said = python(f"from linux.tasks import be_idle; be_idle(); import ctypes, os; {ask}")
    assert said.split() == ["19", "3"]


def test_largest_readahead(tmp_path: Path) -> None:
    size = largest_readahead(tmp_path.stat().st_dev)
    assert size >= 128 << 10
    assert largest_readahead(os.makedev(0, 0)) == 128 << 10
    assert mmap.PAGESIZE == PAGE_SIZE
