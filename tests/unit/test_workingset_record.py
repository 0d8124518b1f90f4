"""What is in memory is recorded: files of the disk below the temporary folder, and processes."""

import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from errors import DamagedError
from format.records import MAX_WORKING_SET_SIZE
from format.sections.working_set import CachedFile, FileSystem, ProcessMemory, WorkingSet, pages_in
from linux import PAGE_SIZE
from linux.mounts import Mount, MountTable, read_mounts
from tests.unit.cached_files import LONG_ENOUGH, ODD, files_in, recorded
from tests.unit.test_linux_memory import sleeper
from workingset import record as record_module
from workingset import trees as trees_module
from workingset.files import Examiner
from workingset.processes import Processes
from workingset.record import fit, record
from workingset.trees import Places, find_tree, trees
from workingset.walkers import Walkers

pytestmark = pytest.mark.usefixtures("few_names")


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
        assert pid in {process.pid for process in Processes(deadline).memory()}
        assert pid not in {process.pid for process in Processes(deadline, [pid]).memory()}


def test_time_is_bounded_and_its_end_is_said(cached: Path) -> None:
    begun = time.monotonic()
    whole = record(limit=0.0)
    assert time.monotonic() - begun < 10  # a process or two have to be ended
    assert not whole.complete
    assert whole.files == 0


def test_no_walker_is_left(cached: Path) -> None:
    mounted = trees(MountTable(read_mounts()))
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
    file = CachedFile(b"used", 1, in_use=False, ranges=((0, 1),))
    scattered = tuple((page, 1) for page in range(0, 10_000, 2))
    whole = WorkingSet(
        UUID(int=1),
        with_paths=True,
        complete=True,
        file_systems=(FileSystem("d", "/", "/", (file,)),),
        processes=tuple(ProcessMemory(pid, 1, scattered) for pid in range(1, 9)),
    )
    monkeypatch.setattr(record_module, "MAX_WORKING_SET_SIZE", 30_000)
    fitted, _ = fit(whole)
    assert (fitted.files, len(fitted.processes), fitted.complete) == (1, 2, False)


def test_more_names_than_a_reader_takes_are_not_recorded() -> None:
    """They share their beginnings, so that they would take little room."""
    folder = b"d" * 4000 + b"/"
    files = tuple(
        CachedFile(folder + b"%06d" % n, n, n < 10, ((0, 1 + n % 9),)) for n in range(20_000)
    )
    systems = (FileSystem("d", "/", "/", files),)
    whole = WorkingSet(UUID(int=1), True, True, systems, ())
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
    assert ODD in files_in(WorkingSet.parse(section), cached)


def test_what_is_no_file_is_not_opened(cached: Path) -> None:
    """Opening a FIFO for reading wakes up a writer that waits."""
    os.mkfifo(cached / "fifo")
    examiner = Examiner(lambda: False, with_handles=False)
    root = os.open(cached, os.O_RDONLY)
    opened: list[int] = []
    writer = threading.Thread(target=lambda: opened.append(os.open(cached / "fifo", os.O_WRONLY)))
    writer.start()
    time.sleep(0.1)
    try:
        assert examiner.look_unless_special(root, b"fifo") is None
        assert examiner.look_unless_special(root, b"below") is None
        assert examiner.look_unless_special(root, b"plain")
        time.sleep(0.1)
        assert opened == []
    finally:
        os.close(os.open(cached / "fifo", os.O_RDONLY))
        writer.join()
        os.close(opened[0])
        os.close(root)


def test_a_folder_that_cannot_be_read_has_nothing_in_it(
    cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_folder: int) -> None:
        raise OSError(5, "bad sector")

    monkeypatch.setattr(os, "scandir", fail)
    assert record(limit=LONG_ENOUGH).with_paths


def test_each_folder_of_a_file_system_is_walked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    real = next(mount for mount in read_mounts() if mount.mount_point == "/")
    if not trees(MountTable([real])):
        pytest.skip("the root is on no block device")
    same = [
        replace(real, mount_id=9001, mount_point="/again"),
        replace(real, mount_id=9002, mount_point="/bind", root=f"{real.root.rstrip('/')}/home"),
        Mount(9003, "0:5", "/proc", "proc", "proc"),
        replace(real, mount_id=9004, fs_type="fuseblk", mount_point="/ntfs"),
        replace(real, mount_id=9005, mount_point="/etc/x", root=f"{real.root.rstrip('/')}/var/y"),
    ]
    found = trees(MountTable([real, *same]))
    assert [tree.mount for tree in found] == [real]
    assert find_tree(found, found[0].name, real.root) == found[0]
    assert find_tree(found, found[0].name, "") == found[0]
    places = Places(MountTable([*same, real, replace(same[2], mount_point="/tmp")]), found)
    assert places.find(b"/usr/bin/x") == (0, b"usr/bin/x")
    assert places.find(b"/again/x") == (0, b"x")
    assert places.find(b"/bind/y/x") == (0, b"home/y/x")
    assert places.find(b"/etc/x") == (0, b"var/y")
    assert places.find(b"/tmp/x") is None
    assert places.find(b"memfd:x") is None
    hidden = MountTable([replace(real, mount_id=9006)])
    assert trees(hidden) == [], "one that another mount covers"
    monkeypatch.setattr(trees_module, "open_tree", lambda _tree: os.open("/", os.O_RDONLY))
    subvolumes = [replace(real, root="/@"), replace(real, mount_id=9005, root="/@home")]
    parts = trees(MountTable(subvolumes))
    assert [tree.mount.root for tree in parts] == ["/@", "/@home"]
