"""What was recorded is brought back, if it is unchanged and there is room."""

import os
import subprocess
from pathlib import Path
from uuid import UUID

import pytest

from format.working_set import ProcessMemory, WorkingSet
from linux.memory import high_watermarks, memory, pressure, scanned
from tests.unit.cached_files import LONG_ENOUGH, ODD, drop, drop_all, recorded, resident
from tests.unit.test_linux_memory import sleeper
from workingset import limits as limits_module
from workingset import process_replay
from workingset.file_replay import FileReplay, _without
from workingset.limits import Limits, StoppedError
from workingset.record import record
from workingset.replay import replay
from workingset.stats import Skipped, Stats


def replayed(whole: WorkingSet) -> Stats:
    """Bring it back, all of it that is still the same; return what came of it."""
    stats = Stats()
    assert replay(whole, lambda: False, stats) == ""
    return stats


def test_files_come_back(cached: Path) -> None:
    whole = recorded()
    drop_all(cached)
    assert resident(cached / "plain") == []
    stats = replayed(whole)
    assert resident(cached / os.fsdecode(ODD)) == [(0, 20)]
    assert resident(cached / "plain") == [(5, 1)]
    assert (stats.files, stats.restored_files, stats.skipped_files) == (3, 3, {})
    assert (stats.file_pages.recorded, stats.file_pages.restored) == (41, 41)


def test_files_come_back_by_their_inodes(cached: Path) -> None:
    whole = record(with_paths=False, limit=LONG_ENOUGH)
    assert b"plain" not in whole.build()
    assert {(system.root, system.mount_point) for system in whole.file_systems} == {("", "")}
    drop_all(cached)
    replayed(whole._replace(processes=()))
    assert resident(cached / "plain") == [(5, 1)]


def test_what_is_there_is_not_read_again(cached: Path) -> None:
    whole = recorded()
    stats = replayed(whole)
    assert (stats.file_pages.resident, stats.file_pages.restored) == (41, 0)


def test_what_is_dropped_meanwhile_counts_as_nothing_less(
    cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record of the replay takes no count below zero."""
    whole = recorded()
    drop(cached / "plain")
    monkeypatch.setattr(FileReplay, "_read_group", lambda *_: drop_all(cached))
    stats = replayed(whole)
    assert (stats.file_pages.resident, stats.file_pages.restored) == (40, 0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("rm plain", Skipped.GONE),
        ("echo more >>plain", Skipped.CHANGED),
        ("truncate -s 3 plain", Skipped.CHANGED),
        ("touch -d @1 plain", Skipped.CHANGED),
        ("cp -p plain new && mv new plain", Skipped.CHANGED),
        ("rm plain && mkfifo plain", Skipped.CHANGED),
        ("mv plain elsewhere && ln -s elsewhere plain", Skipped.CHANGED),
        ("rm plain && mkdir plain", Skipped.CHANGED),
    ],
)
def test_a_file_that_is_another_is_left_alone(change: str, reason: Skipped, cached: Path) -> None:
    whole = recorded()
    subprocess.run(["sh", "-c", change], cwd=cached, check=True)
    drop_all(cached)
    stats = replayed(whole)
    assert stats.skipped_files == {reason: 1}
    assert (stats.restored_files, stats.file_pages.restored) == (2, 40)
    assert stats.file_pages.skipped == 1


def test_a_folder_that_became_a_link_is_not_followed(cached: Path) -> None:
    whole = recorded()
    (cached / "below").rename(cached / "moved")
    (cached / "below").symlink_to("moved")
    stats = replayed(whole)
    assert stats.skipped_files == {Skipped.REFUSED: 1}


def test_a_file_system_that_is_not_mounted(cached: Path) -> None:
    whole = recorded()
    (system,) = whole.file_systems
    gone = [system._replace(device=device) for device in ("UUID=none", "/dev/none", "nonsense")]
    elsewhere = system._replace(root="/no/such/folder")
    stats = replayed(whole._replace(file_systems=(*gone, elsewhere)))
    assert stats.skipped_files == {Skipped.UNMOUNTED: 12}


def test_processes_that_are_gone(cached: Path) -> None:
    with sleeper() as (pid, _private, _shared):
        gone = tuple(ProcessMemory(each, 1, ((0, 5),)) for each in (pid, (1 << 31) - 1))
        whole = recorded()._replace(file_systems=(), processes=gone)
        stats = replayed(whole)
        assert (stats.processes, stats.skipped_processes) == (2, 2)
        assert stats.process_pages.skipped == 10


def test_memory_that_is_there_counts_as_such(cached: Path) -> None:
    with sleeper() as (pid, _private, _shared):
        whole = record(limit=LONG_ENOUGH)
        mine = tuple(process for process in whole.processes if process.pid == pid)
        whole = whole._replace(file_systems=(), processes=mine)
        stats = replayed(whole)
        assert replayed(whole._replace(boot_id=UUID(int=5))).skipped_processes == 1
    assert stats.skipped_processes == 0
    assert stats.process_pages.resident >= 0.9 * stats.process_pages.recorded > 0


def test_a_signal_stops_it(cached: Path) -> None:
    whole = recorded()
    drop_all(cached)
    stats = Stats()
    assert replay(whole, lambda: True, stats) == "stopped by a signal"
    assert resident(cached / "plain") == []
    assert stats.file_pages.skipped == 41


def test_free_memory_stops_it(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = recorded()
    drop_all(cached)
    high = memory()["MemTotal"]
    monkeypatch.setattr(limits_module, "high_watermarks", lambda: high)
    assert replay(whole, lambda: False, Stats()) == "free memory runs short"
    assert resident(cached / "plain") == []


def test_pressure_counts_where_memory_is_reclaimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for pages that are read back is pressure, too, and no reason to stop."""
    state = {"free": 4 << 30, "scanned": 1000, "pressure": 50}
    monkeypatch.setattr(limits_module, "memory", lambda: {"MemFree": state["free"]})
    monkeypatch.setattr(limits_module, "high_watermarks", lambda: 1 << 20)
    monkeypatch.setattr(limits_module, "scanned", lambda: state["scanned"])
    monkeypatch.setattr(limits_module, "pressure", lambda: float(state["pressure"]))
    limits = Limits(lambda: False)
    limits.check()
    state["scanned"] += 1
    with pytest.raises(StoppedError, match="others wait"):
        limits.check()
    limits.check()
    state |= {"scanned": 2000, "pressure": 1}
    limits.check()
    with pytest.raises(StoppedError, match="runs short"):
        limits.check(4 << 30)


def test_what_the_kernel_says_of_memory() -> None:
    assert 1 << 16 < high_watermarks() < memory()["MemTotal"]
    assert scanned() >= 0
    assert 0 <= pressure() <= 100


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


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        (0, 5, []),
        (0, 11, [(10, 1)]),
        (10, 20, [(10, 5)]),
        (12, 31, [(12, 3), (30, 1)]),
        (14, 15, [(14, 1)]),
        (15, 30, []),
        (16, 99, [(30, 4), (34, 1), (50, 2)]),
        (52, 99, []),
    ],
)
def test_ranges_in_a_mapping(
    start: int, end: int, found: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In pieces of four pages, but that the first range is one of five."""
    monkeypatch.setattr(process_replay, "_PIECE", 5 if start < 16 else 4)
    ranges = ((10, 5), (30, 5), (50, 2))
    assert list(process_replay._overlap(ranges, start, end)) == found
