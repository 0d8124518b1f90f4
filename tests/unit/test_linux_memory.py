"""The kernel's answers about memory, and what is opened without being followed."""

import ctypes
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
from linux.process_memory import Mapping
from tests.unit.cached_files import is_on_disk

pytestmark = pytest.mark.usefixtures("few_names")

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
def sleeper() -> Iterator[tuple[int, int, int]]:
    """Yield id and two addresses of a process: pages 100 to 199 of one, 0 to 19 of the other."""
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
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


def partly_cached(path: Path) -> int:
    """Write a file of which pages 3 to 5 and the last one are cached; return it open."""
    path.write_bytes(os.urandom(1000 * PAGE_SIZE + 17))
    fd = os.open(path, os.O_RDWR)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    for page in (3, 4, 5, 1000):
        os.pread(fd, 1, page * PAGE_SIZE)
    return fd


@pytest.mark.parametrize("has_cachestat", [True, False])
def test_resident_pages_of_a_file(has_cachestat: bool, tmp_path: Path) -> None:
    if not is_on_disk(tmp_path / "probe"):
        pytest.skip("the temporary folder is in memory")
    fd = partly_cached(tmp_path / "file")
    try:
        residency = Residency()
        residency.has_cachestat = has_cachestat
        assert residency.of_file(fd) == [(3, 3), (1000, 1)]
    finally:
        os.close(fd)


def test_a_large_file_is_looked_at_in_pieces(tmp_path: Path) -> None:
    """Pieces of 64 MiB; what is not cached lies across the end of the first."""
    if not is_on_disk(tmp_path / "probe"):
        pytest.skip("the temporary folder is in memory")
    (tmp_path / "file").write_bytes(bytes(192 << 20))
    with (tmp_path / "file").open("r+b") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 60 << 20, 8 << 20, os.POSIX_FADV_DONTNEED)
        for has_cachestat in (True, False):
            residency = Residency()
            residency.has_cachestat = has_cachestat
            assert residency.of_file(file.fileno()) == [(0, 15 << 10), (17 << 10, 31 << 10)]


@pytest.mark.parametrize("has_cachestat", [True, False])
def test_a_sparse_file_takes_no_time(
    has_cachestat: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
        residency = Residency()
        residency.has_cachestat = has_cachestat
        assert residency.of_file(file.fileno()) == [((5 << 40) // PAGE_SIZE - 1, 2)]
        assert len(looks) <= 2
        looks.clear()
        residency = Residency(lambda: True)
        residency.has_cachestat = has_cachestat
        assert residency.of_file(file.fileno()) == []
        assert looks == []


def test_nothing_is_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "around").symlink_to(tmp_path)
    (tmp_path / "below").mkdir()
    root = os.open(tmp_path / "below", os.O_RDONLY)
    above = os.open(tmp_path, os.O_RDONLY)
    slash = os.open("/", os.O_RDONLY)
    refused = [
        (root, b"../file", errno.EXDEV),
        (root, b"/etc/passwd", errno.EXDEV),
        (above, b"link", errno.ELOOP),
        (above, b"around/file", errno.ELOOP),
        (slash, b"proc/self/maps", errno.EXDEV),
        (above, b"none", errno.ENOENT),
    ]
    try:
        os.close(opening.open_below(above, b"file", os.O_RDONLY))
        for folder, path, number in refused:
            with pytest.raises(OSError, match=os.strerror(number)):
                opening.open_below(folder, path, os.O_RDONLY)
    finally:
        for fd in (root, above, slash):
            os.close(fd)


def test_handles(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"by its handle")
    folder = os.open(tmp_path, os.O_RDONLY)
    with path.open("rb") as file:
        try:
            handle = opening.handle_of(file.fileno())
        except OSError as error:
            pytest.skip(f"no handles here: {error}")
    try:
        found = opening.open_handle(folder, handle, os.O_PATH | os.O_NOFOLLOW)
        again = opening.reopen(found, os.O_RDONLY)
        assert os.read(again, 100) == b"by its handle"
        os.close(again)
        os.close(found)
        path.unlink()
        with pytest.raises(OSError, match="Stale"):
            opening.open_handle(folder, handle, os.O_PATH)
        with pytest.raises(OSError, match="Invalid"):
            opening.open_handle(folder, b"", os.O_PATH)
    finally:
        os.close(folder)


MAPS = b"""\
55d0-55d2 r--p 00000000 fe:01 1234                       /usr/bin/a b
7f00000000-7f00001000 rw-p 00000000 00:00 0
7ffc-7ffd ---p 00000000 00:00 0                          [stack]
7f10-7f11 rw-s 00000000 00:01 3    /memfd:x\\012y (deleted)
"""


def test_mappings() -> None:
    parsed = process_memory.parse_mappings(MAPS)
    assert parsed[0] == Mapping(0x55D0, 0x55D2, True, False, os.makedev(0xFE, 1), b"/usr/bin/a b")
    assert [mapping.path for mapping in parsed[1:]] == [
        b"",
        b"[stack]",
        b"/memfd:x\\012y (deleted)",
    ]
    assert parsed[3].device == os.makedev(0, 1)
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
    with sleeper() as (pid, private, _shared):
        assert tasks.start_of(pid) > 0
        pidfd = os.pidfd_open(pid)
        try:
            taken = process_memory.will_need(
                pidfd, [(private, 10 * PAGE_SIZE), (private, PAGE_SIZE)]
            )
            assert taken == 11 * PAGE_SIZE
            with pytest.raises(OSError, match="memory"):
                process_memory.will_need(pidfd, [(PAGE_SIZE, PAGE_SIZE)])
            assert (
                process_memory.touch(pid, [private + page * PAGE_SIZE for page in range(300)])
                == 300
            )
            assert (
                process_memory.touch(pid, [PAGE_SIZE, private, PAGE_SIZE, private, PAGE_SIZE]) == 2
            )
            assert process_memory.touch(pid, []) == 0
            with pytest.raises(OSError, match="No such process"):
                process_memory.touch((1 << 31) - 1, [private])
        finally:
            os.close(pidfd)


def test_idle(tmp_path: Path) -> None:
    program = "from linux.tasks import be_idle; be_idle(); import os; print(os.nice(0))"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\n{IOPRIO}"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["19", "3"]


IOPRIO = "import ctypes; print(ctypes.CDLL(None).syscall(252, 1, 0) >> 13)"
"""ioprio_get(2)."""


def test_largest_readahead(tmp_path: Path) -> None:
    size = largest_readahead(tmp_path.stat().st_dev)
    assert size >= 128 << 10
    assert largest_readahead(os.makedev(0, 0)) == 128 << 10
    assert ctypes.sizeof(ctypes.c_void_p) == 8
    assert mmap.PAGESIZE == PAGE_SIZE
