"""What is cached is recorded, and brought back: files of the disk below the temporary folder."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from format.records import MAX_WORKING_SET_SIZE
from format.working_set import CachedFile, FileSystem, ProcessMemory, WorkingSet, pages_in
from kernel.memory import memory
from kernel.mounts import Mount, read_mounts
from kernel.residency import PAGE_SIZE, Residency
from tests.unit.test_workingset_kernel import is_on_disk, sleeper
from workingset import limits as limits_module
from workingset import record as record_module
from workingset.file_replay import _without
from workingset.limits import Limits, StoppedError
from workingset.processes import Processes
from workingset.record import record
from workingset.replay import replay
from workingset.tally import Skipped, Tally
from workingset.trees import find_tree, trees
from workingset.walkers import Walkers

LONG_ENOUGH = 60.0
ODD = b"new\nline \xff\xfe"

Never = Callable[[], bool]


def never() -> bool:
    return False


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    """A folder with three files in the page cache, one of them only in part, one in a folder."""
    if not is_on_disk(tmp_path / "probe"):
        pytest.skip("the temporary folder is in memory")
    folder = tmp_path / "cached"
    (folder / "below").mkdir(parents=True)
    for name in (b"plain", b"below/deep", ODD):
        path = os.fsencode(folder) + b"/" + name
        with open(path, "wb") as file:
            file.write(os.urandom(20 * PAGE_SIZE))
            os.fsync(file.fileno())
    drop(folder / "plain")
    with (folder / "plain").open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        os.pread(file.fileno(), 1, 5 * PAGE_SIZE)
    return folder


def drop(path: Path | bytes) -> None:
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def drop_all(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            drop(path)


def resident(path: Path | bytes) -> list[tuple[int, int]]:
    fd = os.open(path, os.O_RDONLY)
    try:
        return Residency().of_file(fd)
    finally:
        os.close(fd)


def files_in(whole: WorkingSet, folder: Path) -> dict[bytes, CachedFile]:
    """Return what was recorded of a folder, by the path below it."""
    found = {}
    for system in whole.file_systems:
        for file in system.files:
            path = os.path.join(os.fsencode(system.mount_point), file.name)
            if path.startswith(os.fsencode(folder) + b"/"):
                found[path[len(os.fsencode(folder)) + 1 :]] = file
    return found


def only(whole: WorkingSet, folder: Path) -> WorkingSet:
    """Return the working set without what is not in the folder, and without processes."""
    wanted = set(files_in(whole, folder).values())
    systems = (
        replace(system, files=tuple(file for file in system.files if file in wanted))
        for system in whole.file_systems
    )
    return replace(whole, file_systems=tuple(each for each in systems if each.files), processes=())


def recorded(folder: Path) -> WorkingSet:
    """Record until the folder has been walked to: the machine may have very many files."""
    whole = record(limit=LONG_ENOUGH)
    assert whole.complete
    return only(whole, folder)


def test_cached_files_are_recorded(cached: Path) -> None:
    files = files_in(recorded(cached), cached)
    assert set(files) == {b"plain", b"below/deep", ODD}
    assert files[b"plain"].ranges == ((5, 1),)
    assert files[ODD].ranges == ((0, 20),)
    assert not any(file.in_use for file in files.values())


def test_files_in_use_are_marked(cached: Path) -> None:
    program = "import sys; file = open(sys.argv[1]); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, cached / "plain"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        process.stdout.readline()
        files = files_in(record(limit=LONG_ENOUGH), cached)
        process.kill()
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
        assert pid in {process.pid for process in Processes(deadline).found()}
        assert pid not in {process.pid for process in Processes(deadline, [pid]).found()}


def test_files_come_back(cached: Path) -> None:
    whole = recorded(cached)
    drop_all(cached)
    assert resident(cached / "plain") == []
    tally = Tally()
    assert replay(whole, never, tally) == ""
    assert resident(os.fsencode(cached) + b"/" + ODD) == [(0, 20)]
    assert resident(cached / "plain") == [(5, 1)]
    assert (tally.files, tally.restored_files, tally.skipped_files) == (3, 3, {})
    assert (tally.file_pages.recorded, tally.file_pages.restored) == (41, 41)


def test_files_come_back_by_their_inodes(cached: Path) -> None:
    whole = record(with_paths=False, limit=LONG_ENOUGH)
    assert b"plain" not in whole.build()
    assert {(system.root, system.mount_point) for system in whole.file_systems} == {("", "")}
    drop_all(cached)
    tally = Tally()
    assert replay(replace(whole, processes=()), never, tally) == ""
    assert resident(cached / "plain") == [(5, 1)]


def test_what_is_there_is_not_read_again(cached: Path) -> None:
    whole = recorded(cached)
    tally = Tally()
    assert replay(whole, never, tally) == ""
    assert (tally.file_pages.resident, tally.file_pages.restored) == (41, 0)


def remove(path: Path) -> None:
    path.unlink()


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def truncate(path: Path) -> None:
    os.truncate(path, 3)


def touch(path: Path) -> None:
    os.utime(path, (1, 1))


def become_a_copy(path: Path) -> None:
    status, data = path.stat(), path.read_bytes()
    path.with_name("new").write_bytes(data)
    os.utime(path.with_name("new"), ns=(status.st_atime_ns, status.st_mtime_ns))
    path.with_name("new").rename(path)


def become_a_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def become_a_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (remove, Skipped.GONE),
        (append, Skipped.CHANGED),
        (truncate, Skipped.CHANGED),
        (touch, Skipped.CHANGED),
        (become_a_copy, Skipped.CHANGED),
        (become_a_fifo, Skipped.CHANGED),
        (become_a_link, Skipped.CHANGED),
        (become_a_folder, Skipped.CHANGED),
    ],
)
def test_a_file_that_is_another_is_left_alone(
    change: Callable[[Path], None], reason: Skipped, cached: Path
) -> None:
    whole = recorded(cached)
    change(cached / "plain")
    drop_all(cached)
    tally = Tally()
    assert replay(whole, never, tally) == ""
    assert tally.skipped_files == {reason: 1}
    assert (tally.restored_files, tally.file_pages.restored) == (2, 40)
    assert tally.file_pages.skipped == 1


def test_a_folder_that_became_a_link_is_not_followed(cached: Path) -> None:
    whole = recorded(cached)
    (cached / "below").rename(cached / "moved")
    (cached / "below").symlink_to("moved")
    tally = Tally()
    assert replay(whole, never, tally) == ""
    assert tally.skipped_files == {Skipped.REFUSED: 1}


def test_a_file_system_that_is_not_mounted(cached: Path) -> None:
    whole = recorded(cached)
    (system,) = whole.file_systems
    gone = [replace(system, device=device) for device in ("UUID=none", "/dev/none", "nonsense")]
    elsewhere = replace(system, root="/no/such/folder")
    tally = Tally()
    assert replay(replace(whole, file_systems=(*gone, elsewhere)), never, tally) == ""
    assert tally.skipped_files == {Skipped.UNMOUNTED: 12}


def test_processes_that_are_gone_or_of_another_boot(cached: Path) -> None:
    whole = replace(recorded(cached), file_systems=())
    with sleeper() as (pid, _private, _shared):
        others = (
            ProcessMemory(pid, 1, ((0, 5),)),
            ProcessMemory((1 << 31) - 1, 1, ((0, 5),)),
        )
        tally = Tally()
        assert replay(replace(whole, processes=others), never, tally) == ""
        assert (tally.processes, tally.skipped_processes) == (2, 2)
        assert tally.process_pages.skipped == 10
        tally = Tally()
        another = replace(whole, processes=others, boot_id=UUID(int=5))
        assert replay(another, never, tally) == ""
        assert tally.skipped_processes == 2


def test_memory_that_is_there_counts_as_such(cached: Path) -> None:
    with sleeper() as (pid, _private, _shared):
        whole = record(limit=LONG_ENOUGH)
        mine = tuple(process for process in whole.processes if process.pid == pid)
        tally = Tally()
        assert replay(replace(whole, file_systems=(), processes=mine), never, tally) == ""
    assert tally.skipped_processes == 0
    assert tally.process_pages.resident >= 0.9 * tally.process_pages.recorded > 0


def test_a_signal_stops_it(cached: Path) -> None:
    whole = recorded(cached)
    drop_all(cached)
    tally = Tally()
    assert replay(whole, lambda: True, tally) == "stopped by a signal"
    assert resident(cached / "plain") == []
    assert tally.file_pages.skipped == 41


def test_free_memory_stops_it(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = recorded(cached)
    drop_all(cached)
    high = memory()["MemTotal"]
    monkeypatch.setattr(limits_module, "_high_watermarks", lambda: high)
    assert replay(whole, never, Tally()) == "free memory runs short"
    assert resident(cached / "plain") == []


def test_pressure_counts_where_memory_is_scarce(monkeypatch: pytest.MonkeyPatch) -> None:
    total = 8 << 30
    sizes = {"MemTotal": total, "MemFree": total // 4}
    monkeypatch.setattr(limits_module, "memory", lambda: sizes)
    monkeypatch.setattr(limits_module, "_high_watermarks", lambda: 1 << 20)
    monkeypatch.setattr(limits_module, "_pressure", lambda: 50.0)
    limits = Limits(never)
    limits.check()
    sizes["MemFree"] = total // 10
    with pytest.raises(StoppedError, match="others wait"):
        limits.check()
    monkeypatch.setattr(limits_module, "_pressure", lambda: 1.0)
    limits.check()
    with pytest.raises(StoppedError, match="runs short"):
        limits.check(total // 10)


def test_watermarks_are_the_machines() -> None:
    assert 1 << 16 < limits_module._high_watermarks() < memory()["MemTotal"]


def test_time_is_bounded_and_its_end_is_said(cached: Path) -> None:
    begun = time.monotonic()
    whole = record(limit=0.0)
    assert time.monotonic() - begun < 10  # a process or two have to be ended
    assert not whole.complete
    assert whole.files == 0


def test_no_walker_is_left(cached: Path) -> None:
    mounted = trees(read_mounts())
    with Walkers(mounted, time.monotonic() + LONG_ENOUGH, 2, with_handles=False) as walkers:
        pids = list(walkers.pids)
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_what_does_not_fit_is_left_out_the_unused_first(monkeypatch: pytest.MonkeyPatch) -> None:
    used = CachedFile(b"used", 1, in_use=True, ranges=((0, 1),))
    rest = tuple(CachedFile(b"%06d" % n, n, False, ((0, 1 + n % 9),)) for n in range(4000))
    whole = WorkingSet(
        UUID(int=1),
        with_paths=True,
        complete=True,
        file_systems=(FileSystem("d", "/", "/", (*rest, used)),),
        processes=(ProcessMemory(1, 1, ((5, 1),)),),
    )
    assert record_module._fitted(whole) is whole
    monkeypatch.setattr(record_module, "MAX_WORKING_SET_SIZE", 10_000)
    fitted = record_module._fitted(whole)
    assert len(fitted.build()) <= 10_000 < MAX_WORKING_SET_SIZE
    assert not fitted.complete
    assert used in fitted.file_systems[0].files
    assert fitted.processes == whole.processes
    assert min(pages_in(file.ranges) for file in fitted.file_systems[0].files if file != used) > 1
    monkeypatch.setattr(record_module, "MAX_WORKING_SET_SIZE", 62)
    least = record_module._fitted(whole)
    assert (least.processes, least.files) == ((), 0)


def test_each_folder_of_a_file_system_is_walked_once() -> None:
    real = next(mount for mount in read_mounts() if mount.mount_point == "/")
    if not trees([real]):
        pytest.skip("the root is on no block device")
    same = [
        replace(real, mount_id=9001, mount_point="/again"),
        replace(real, mount_id=9002, mount_point="/bind", root=f"{real.root.rstrip('/')}/home"),
        Mount(9003, "0:5", "/proc", "proc", "proc"),
        replace(real, mount_id=9004, fs_type="fuseblk", mount_point="/ntfs"),
    ]
    found = trees([real, *same])
    assert [tree.mount for tree in found] == [real]
    assert find_tree(found, found[0].name, real.root) == found[0]
    assert find_tree(found, found[0].name, "") == found[0]
    parts = trees([replace(real, root="/@"), replace(real, mount_id=9005, root="/@home")])
    assert [tree.mount.root for tree in parts] == ["/@", "/@home"]


@pytest.mark.parametrize(
    ("ranges", "there", "missing"),
    [
        ((), [(0, 5)], []),
        (((0, 5),), [], [(0, 5)]),
        (((0, 5),), [(0, 5)], []),
        (((2, 6),), [(0, 3), (4, 1), (7, 9)], [(3, 1), (5, 2)]),
        (((0, 2), (4, 2), (8, 2)), [(1, 4)], [(0, 1), (5, 1), (8, 2)]),
    ],
)
def test_missing_pages(
    ranges: tuple[tuple[int, int], ...],
    there: list[tuple[int, int]],
    missing: list[tuple[int, int]],
) -> None:
    assert list(_without(ranges, there)) == missing
