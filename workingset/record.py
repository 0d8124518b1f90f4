"""Records what is in memory: in limited time, and in little memory."""

import os
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from uuid import UUID

from format.records import MAX_TABLE_SIZE, MAX_WORKING_SET_SIZE
from format.working_set import (
    MAX_FILES,
    MAX_NAMES,
    MAX_PROCESSES,
    MAX_RANGES,
    CachedFile,
    FileSystem,
    ProcessMemory,
    WorkingSet,
    pages_in,
)
from linux.machine import boot_id
from linux.mounts import MountTable, read_mounts
from workingset.files import Examiner
from workingset.limits import RECORDING
from workingset.processes import Processes
from workingset.trees import Places, Tree, trees
from workingset.walkers import Walkers

_SHARE = 0.9
"""Of the time, for looking; the rest is for putting together what was found."""

_MOST_WALKERS = 4

_LEAST_FILE, _LEAST_RANGE = 7, 2
"""Bytes that each takes at least, besides names."""

Files = dict[bytes, CachedFile]
"""By the path below the mount."""


def record(
    *, with_paths: bool = True, limit: float = RECORDING, leave_out: Collection[int] = ()
) -> WorkingSet:
    """Return what is in memory now: files of local file systems, and processes.

    It takes `limit` seconds at most, and is marked as incomplete if there was more to see. It reads
    no contents, and from a disk only blocks of folders that the kernel has dropped. `leave_out`
    are processes that will be gone, besides this one.
    """
    deadline = time.monotonic() + limit * _SHARE
    table = MountTable(read_mounts())
    mounted = trees(table)
    walkers = min(len(os.sched_getaffinity(0)), _MOST_WALKERS)
    with Walkers(mounted, deadline, walkers, with_handles=not with_paths) as walking:
        using = Processes(deadline, {*walking.pids, *leave_out})
        files: list[Files] = [{} for _ in mounted]
        places = Places(table, mounted)
        examiner = Examiner(using.is_late, with_handles=not with_paths)
        for path in sorted(using.files()):
            number, below = places.find(path) or (-1, b"")
            root = walking.roots.get(number)
            if root is not None and (file := examiner.look_unless_special(root, below)):
                files[number][below] = file
        processes = list(using.memory())
        complete = not using.is_late()
        complete = walking.wait() and complete
        for number, path, file in walking.found():
            files[number].setdefault(path, file)
    systems = tuple(_systems(mounted, files, with_paths=with_paths))
    return WorkingSet(UUID(boot_id()), with_paths, complete, systems, tuple(processes))


def _systems(mounted: list[Tree], files: list[Files], *, with_paths: bool) -> Iterator[FileSystem]:
    for tree, found in zip(mounted, files, strict=True):
        if found:
            cached = tuple(sorted(found.values(), key=lambda file: file.name))
            root, point = (tree.mount.root, tree.mount.mount_point) if with_paths else ("", "")
            yield FileSystem(tree.name, root, point, cached)


def fit(whole: WorkingSet) -> tuple[WorkingSet, bytes]:
    """Return it and its section, or as much of it as a section may hold."""
    while True:
        if _fits(whole) and len(section := whole.build()) <= MAX_WORKING_SET_SIZE:
            return whole, section
        whole = _smaller(whole)


def _fits(whole: WorkingSet) -> bool:
    """Return whether what a reader counts is within its limits, and its room may be."""
    files = [file for system in whole.file_systems for file in system.files]
    return (
        len(files) <= MAX_FILES
        and len(whole.processes) <= MAX_PROCESSES
        and sum(len(file.name) for file in files) <= MAX_NAMES
        and _ranges(files) + _ranges(whole.processes) <= MAX_RANGES
        and whole.head_size <= MAX_TABLE_SIZE
        and _least_of_files(files) + _least_of_processes(whole) <= MAX_WORKING_SET_SIZE
    )


def _ranges(some: Iterable[CachedFile | ProcessMemory]) -> int:
    return sum(len(each.ranges) for each in some)


def _least_of_files(files: Sequence[CachedFile]) -> int:
    """Return fewer bytes than the files take, without names: to build it takes longer."""
    return _LEAST_FILE * len(files) + _LEAST_RANGE * _ranges(files)


def _least_of_processes(whole: WorkingSet) -> int:
    return _LEAST_RANGE * _ranges(whole.processes)


def _smaller(whole: WorkingSet) -> WorkingSet:
    """Leave out half: of the processes if they take most, else of unused files, then of all."""
    files = [file for system in whole.file_systems for file in system.files]
    unused = [file for file in files if not file.in_use]
    if whole.processes and (not unused or _least_of_processes(whole) > _least_of_files(unused)):
        half = tuple(islice(whole.processes, len(whole.processes) // 2))
        return whole._replace(processes=half, complete=False)
    pages = sorted(pages_in(file.ranges) for file in unused or files)
    few = pages[len(pages) // 2]

    def keep(file: CachedFile) -> bool:
        return (file.in_use and bool(unused)) or pages_in(file.ranges) > few

    systems = (
        system._replace(files=tuple(filter(keep, system.files))) for system in whole.file_systems
    )
    left = tuple(system for system in systems if system.files)
    return whole._replace(file_systems=left, complete=False)
