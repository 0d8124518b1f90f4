"""What is in memory is recorded, and what there is no room for swapped out in order.

The files lie on the disk below the temporary folder."""

import os
import threading
import time
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import pytest

from errors import DamagedError
from format.records import MAX_WORKING_SET_SIZE
from format.working_set import CachedFile, FileSystem, ProcessMemory, WorkingSet, pages_in
from linux import PAGE_SIZE, process_memory, tasks
from linux.mounts import Mount, MountTable, read_mounts
from tests.sources import opened
from tests.tools import failing
from tests.unit.cached_files import LONG_ENOUGH, ODD, files_in, recorded
from tests.unit.test_linux_memory import sleeper
from workingset import page_out as page_out_module
from workingset import record as record_module
from workingset import trees as trees_module
from workingset import walkers as walkers_module
from workingset.files import Examiner
from workingset.page_out import page_out, to_page_out
from workingset.processes import Processes
from workingset.record import fit, record
from workingset.trees import Places, find_tree, trees
from workingset.walkers import Walkers


def test_cached_files_are_recorded(cached: Path) -> None:
    files = files_in(recorded())
    assert set(files) == {b"plain", b"below/deep", ODD}
    assert files[b"plain"].ranges == ((5, 1),)
    assert files[ODD].ranges == ((0, 20),)
    assert not any(file.in_use for file in files.values())


def test_files_in_use_are_marked(cached: Path) -> None:
    with opened(cached / "plain") as fd, sleeper(fd):
        files = files_in(record(limit=LONG_ENOUGH))
    assert [files[name].in_use for name in (b"plain", ODD)] == [True, False]


def test_processes_are_recorded(cached: Path) -> None:
    with sleeper() as (pid, private, shared):
        whole = record(limit=LONG_ENOUGH)
        mine = next(process for process in whole.processes if process.pid == pid)
    pages = {page for first, count in mine.ranges for page in range(first, first + count)}
    first = private // PAGE_SIZE
    assert pages >= set(range(first + 100, first + 200))
    assert not pages & set(range(first, first + 100))
    assert pages >= set(range(shared // PAGE_SIZE, shared // PAGE_SIZE + 20))
    assert not any(process.pid == os.getpid() for process in whole.processes)


def test_our_helpers_are_not_recorded() -> None:
    with sleeper() as (pid, _private, _shared):
        deadline = time.monotonic() + LONG_ENOUGH
        assert pid in {process.pid for process in Processes(deadline).memory()}
        assert pid not in {process.pid for process in Processes(deadline, [pid]).memory()}


def test_time_is_bounded_and_its_end_is_said(cached: Path) -> None:
    begun = time.monotonic()
    whole = record(limit=0.0)
    assert time.monotonic() - begun < LONG_ENOUGH
    assert not whole.complete
    assert whole.files == 0


def test_no_walker_is_left(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walkers_module, "_GRACE", LONG_ENOUGH)
    mounted = trees(MountTable(read_mounts()))
    with Walkers(mounted, time.monotonic() + LONG_ENOUGH, 2, with_handles=False) as walkers:
        pids = list(walkers.pids)
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def whole_of(files: Iterable[CachedFile], processes: Iterable[ProcessMemory]) -> WorkingSet:
    system = FileSystem("d", "/", "/", tuple(files))
    return WorkingSet(UUID(int=1), True, True, (system,), tuple(processes))


def test_what_does_not_fit_is_left_out_the_unused_first(monkeypatch: pytest.MonkeyPatch) -> None:
    used = CachedFile(b"used", 1, in_use=True, ranges=((0, 1),))
    rest = [CachedFile(b"%06d" % n, n, False, ((0, 1 + n % 9),)) for n in range(4000)]
    whole = whole_of([*rest, used], [ProcessMemory(1, 1, ((5, 1),))])
    assert fit(whole) == (whole, whole.build())
    monkeypatch.setattr(record_module, "MAX_WORKING_SET_SIZE", 10_000)
    fitted, section = fit(whole)
    assert len(section) <= 10_000 < MAX_WORKING_SET_SIZE
    assert section == fitted.build()
    assert not fitted.complete
    assert used in fitted.file_systems[0].files
    assert fitted.processes == whole.processes
    assert min(pages_in(file.ranges) for file in fitted.file_systems[0].files if file != used) > 1
    monkeypatch.setattr(record_module, "MAX_WORKING_SET_SIZE", 62)
    least, _ = fit(whole)
    assert (least.processes, least.files) == ((), 0)


def test_processes_with_most_of_the_ranges_are_left_out_before_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scattered = tuple((page, 1) for page in range(0, 10_000, 2))
    file = CachedFile(b"used", 1, in_use=False, ranges=((0, 1),))
    whole = whole_of([file], [ProcessMemory(pid, 1, scattered) for pid in range(1, 9)])
    monkeypatch.setattr(record_module, "MAX_WORKING_SET_SIZE", 30_000)
    fitted, _ = fit(whole)
    assert (fitted.files, len(fitted.processes), fitted.complete) == (1, 2, False)


def test_more_names_than_a_reader_takes_are_not_recorded() -> None:
    """They share their beginnings, so that they would take little room."""
    names = [b"d" * 4000 + b"/%06d" % n for n in range(20_000)]
    files = [CachedFile(name, n, n < 10, ((0, 1 + n % 9),)) for n, name in enumerate(names)]
    whole = whole_of(files, [])
    with pytest.raises(DamagedError, match="too long"):
        WorkingSet.parse(whole.build())
    fitted, section = fit(whole)
    assert WorkingSet.parse(section) == fitted
    assert {file for file in files if file.in_use} < set(fitted.file_systems[0].files)


def test_a_name_that_is_too_long_is_not_recorded(cached: Path) -> None:
    """4096 bytes are the most for one path that is opened; folder by folder there is no limit."""
    fd = os.open(cached, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=fd)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    with open(os.open("deep", os.O_WRONLY | os.O_CREAT, dir_fd=fd), "wb") as file:
        file.write(bytes(PAGE_SIZE))
    os.close(fd)
    whole, section = fit(record(limit=LONG_ENOUGH))
    assert whole.complete
    assert ODD in files_in(WorkingSet.parse(section))


def test_what_is_no_file_is_not_opened(cached: Path) -> None:
    """Opening a FIFO for reading wakes up a writer that waits."""
    os.mkfifo(cached / "fifo")
    examiner = Examiner(lambda: False, with_handles=False)
    written: list[int] = []
    writer = threading.Thread(target=lambda: written.append((cached / "fifo").write_bytes(b"")))
    writer.start()
    time.sleep(0.1)
    try:
        with opened(cached, os.O_RDONLY) as root:
            assert examiner.look_unless_special(root, b"fifo") is None
            assert examiner.look_unless_special(root, b"below") is None
            assert examiner.look_unless_special(root, b"plain")
        time.sleep(0.1)
        assert written == []
    finally:
        os.close(os.open(cached / "fifo", os.O_RDONLY))
        writer.join()


def test_a_folder_that_cannot_be_read_has_nothing_in_it(
    cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "scandir", failing(OSError(5, "bad sector")))
    assert record(limit=LONG_ENOUGH).with_paths


def test_each_folder_of_a_file_system_is_walked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    real = next(mount for mount in read_mounts() if mount.mount_point == "/")
    if not trees(MountTable([real])):
        pytest.skip("the root is on no block device")
    same = [
        real._replace(mount_id=9001, mount_point="/again"),
        real._replace(mount_id=9002, mount_point="/bind", root=f"{real.root.rstrip('/')}/home"),
        Mount(9003, "0:5", "/proc", "proc", "proc"),
        real._replace(mount_id=9004, fs_type="fuseblk", mount_point="/ntfs"),
        real._replace(mount_id=9005, mount_point="/etc/x", root=f"{real.root.rstrip('/')}/var/y"),
    ]
    found = trees(MountTable([real, *same]))
    assert [tree.mount for tree in found] == [real]
    assert find_tree(found, found[0].name, real.root) == found[0]
    assert find_tree(found, found[0].name, "") == found[0]
    places = Places(MountTable([*same, real, same[2]._replace(mount_point="/tmp")]), found)
    assert places.find(b"/usr/bin/x") == (0, b"usr/bin/x")
    assert places.find(b"/again/x") == (0, b"x")
    assert places.find(b"/bind/y/x") == (0, b"home/y/x")
    assert places.find(b"/etc/x") == (0, b"var/y")
    assert places.find(b"/tmp/x") is None
    assert places.find(b"memfd:x") is None
    hidden = MountTable([real._replace(mount_id=9006)])
    assert trees(hidden) == [], "one that another mount covers"
    monkeypatch.setattr(trees_module, "open_tree", lambda _tree: os.open("/", os.O_RDONLY))
    subvolumes = [real._replace(root="/@"), real._replace(mount_id=9005, root="/@home")]
    parts = trees(MountTable(subvolumes))
    assert [tree.mount.root for tree in parts] == ["/@", "/@home"]


MIB = 1 << 20
Ranges = list[tuple[int, int]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Ranges:
    """What was asked for: address and bytes of each range."""
    ranges: Ranges = []

    def take(_pidfd: int, some: Ranges, what: int) -> int:
        assert what == process_memory.PAGE_OUT
        assert len(some) <= 1024
        ranges.extend(some)
        return sum(size for _, size in some)

    monkeypatch.setattr(page_out_module, "advise", take)
    return ranges


SIZES = {
    "MemTotal": 1000,
    "MemFree": 200,
    "Active(file)": 100,
    "Inactive(file)": 200,
    "Active(anon)": 400,
    "SwapFree": 2000,
}
"""MiB of a machine: 300 of caches, 400 of processes, 100 of the kernel."""


@pytest.mark.parametrize(
    ("image", "changed", "wanted"),
    [
        (1000, {}, 300 - 300 + 128),
        (1000, {"MemFree": 600, "Active(file)": 0, "Inactive(file)": 0}, 0),
        (400, {}, 400 - 300 + 128),
        (400, {"SwapFree": 0}, 0),
        (400, {"SwapFree": 100}, 50),
        (0, {}, 700 - 300 + 128),
        (500, {"Inactive(file)": 600}, 0),
    ],
)
def test_caches_go_first(
    image: int, changed: dict[str, int], wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {name: size * MIB for name, size in (SIZES | changed).items()}
    monkeypatch.setattr(page_out_module, "memory", lambda: sizes)
    assert to_page_out(image * MIB) == wanted * MIB


def mine(*ranges: tuple[int, int], started: int | None = None) -> ProcessMemory:
    pid = os.getpid()
    return ProcessMemory(pid, tasks.start_of(pid) if started is None else started, ranges)


def test_each_gives_its_share_in_the_order_of_addresses(asked: Ranges) -> None:
    large = mine(*((page, 3) for page in range(0, 40_000, 4)))
    small = mine((1 << 20, 10_000))
    page_out([large, small], 20_000 * PAGE_SIZE)
    pages = [size // PAGE_SIZE for _, size in asked]
    assert sum(pages) == 15_000 + 5_000
    at = next(n for n, (address, _) in enumerate(asked) if address >= (1 << 20) * PAGE_SIZE)
    assert sum(pages[:at]) == 15_000
    assert all(one[0] + one[1] <= other[0] for one, other in pairwise(asked))
    assert max(pages) == 2048


def test_all_of_it_and_no_more(asked: Ranges) -> None:
    assert page_out([mine((5, 3000), (9000, 1))], 1 << 40) == 3001 * PAGE_SIZE
    assert asked == [
        (5 * PAGE_SIZE, 2048 * PAGE_SIZE),
        (2053 * PAGE_SIZE, 952 * PAGE_SIZE),
        (9000 * PAGE_SIZE, PAGE_SIZE),
    ]


def test_who_has_little_or_is_gone_or_another_is_left_alone(asked: Ranges) -> None:
    gone = ProcessMemory((1 << 31) - 1, 1, ((0, 5000),))
    assert page_out([mine((0, 200)), mine((0, 5000), started=1), gone], 1 << 40) == 0
    assert page_out([], 1 << 40) == 0
    assert asked == []


def test_it_ends_in_time(asked: Ranges, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_out_module, "PAGING_OUT", 0.0)
    assert page_out([mine((0, 5000))], 1 << 40) == 0
