"""Takes note of what is in memory: within a time, and in little memory itself."""

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from uuid import UUID

from format.records import MAX_WORKING_SET_SIZE
from format.working_set import (
    MAX_FILE_SYSTEMS,
    MAX_FILES,
    CachedFile,
    FileSystem,
    WorkingSet,
    pages_in,
)
from kernel.machine import boot_id
from kernel.mounts import read_mounts
from workingset.files import Examiner, Found
from workingset.processes import Processes
from workingset.trees import Tree, open_tree, trees
from workingset.walkers import Walkers

LIMIT = 2.0
"""Seconds that it may take."""

_SHARE = 0.9
"""Of the time, for looking; the rest is for putting together what was found."""

_MOST_WALKERS = 4

_FILE, _RANGE, _PROCESS, _SYSTEM = 16, 20, 40, 3 * 4096
"""Bytes that each takes at most, besides names."""

Files = dict[bytes, CachedFile]
"""By the path below the mount."""


def record(
    *, with_paths: bool = True, limit: float = LIMIT, leave_out: Collection[int] = ()
) -> WorkingSet:
    """Return what is in memory now: files of local file systems, and processes.

    It takes `limit` seconds at most, and is marked as incomplete if there was more to see. No byte
    of it is read, and from a disk only what the kernel's cache has no more of a folder. `leave_out`
    are processes that will be gone, besides this one.
    """
    deadline = time.monotonic() + limit * _SHARE
    mounted = trees(read_mounts())[:MAX_FILE_SYSTEMS]
    walkers = min(len(os.sched_getaffinity(0)), _MOST_WALKERS)
    with Walkers(mounted, deadline, walkers, with_handles=not with_paths) as walking:
        using = Processes(deadline, {*walking.pids, *leave_out})
        processes = list(using.found())
        complete = not using.is_late()
        files = _files_in_use(mounted, using.files, with_handles=not with_paths)
        complete = walking.wait() and complete
        for number, found in walking.found():
            files[number].setdefault(found.path, _cached(found, in_use=False))
    systems = tuple(_systems(mounted, files, with_paths=with_paths))
    whole = WorkingSet(UUID(boot_id()), with_paths, complete, systems, tuple(processes))
    return _fitted(whole)


def _files_in_use(mounted: list[Tree], paths: set[bytes], *, with_handles: bool) -> list[Files]:
    """Return what of these paths is cached, for each tree."""
    files: list[Files] = [{} for _ in mounted]
    examiner = Examiner(with_handles=with_handles)
    for number, path, found in _looked_up(mounted, sorted(paths), examiner):
        files[number][path] = _cached(found, in_use=True)
    return files


def _looked_up(
    mounted: list[Tree], paths: Iterable[bytes], examiner: Examiner
) -> Iterator[tuple[int, bytes, Found]]:
    roots = _roots(mounted)
    try:
        for path in paths:
            for point, number, root in roots:
                if path.startswith(point):
                    below = path[len(point) :]
                    if found := examiner.look(root, below, below):
                        yield number, below, found
                    break
    finally:
        for _, _, root in roots:
            os.close(root)


def _roots(mounted: list[Tree]) -> list[tuple[bytes, int, int]]:
    """Return mount point, with a slash at its end, number and open folder; the deepest first."""
    roots = []
    for number, tree in enumerate(mounted):
        try:
            root = open_tree(tree)
        except OSError:
            continue
        point = os.fsencode(tree.mount.mount_point).rstrip(b"/") + b"/"
        roots.append((point, number, root))
    return sorted(roots, key=lambda entry: -len(entry[0]))


def _cached(found: Found, *, in_use: bool) -> CachedFile:
    return CachedFile(found.handle or found.path, found.check, in_use, found.ranges)


def _systems(mounted: list[Tree], files: list[Files], *, with_paths: bool) -> Iterator[FileSystem]:
    for tree, found in zip(mounted, files, strict=True):
        if found:
            cached = tuple(sorted(found.values(), key=lambda file: file.name))
            root, point = (tree.mount.root, tree.mount.mount_point) if with_paths else ("", "")
            yield FileSystem(tree.name, root, point, cached)


def _fitted(whole: WorkingSet) -> WorkingSet:
    """Return it, or as much of it as a section may hold."""
    while not _fits(whole):
        whole = _smaller(whole)
    return whole


def _fits(whole: WorkingSet) -> bool:
    return whole.files <= MAX_FILES and (
        _most_bytes(whole) <= MAX_WORKING_SET_SIZE or len(whole.build()) <= MAX_WORKING_SET_SIZE
    )


def _most_bytes(whole: WorkingSet) -> int:
    """Return more bytes than the section has: to build it takes longer."""
    files = (file for system in whole.file_systems for file in system.files)
    names = sum(len(file.name) + _FILE + _RANGE * len(file.ranges) for file in files)
    memory = sum(_PROCESS + _RANGE * len(process.ranges) for process in whole.processes)
    return names + memory + (_SYSTEM * len(whole.file_systems))


def _smaller(whole: WorkingSet) -> WorkingSet:
    """Leave out half: of the files that nobody uses, then of the processes, then of the rest."""
    unused = [file for system in whole.file_systems for file in system.files if not file.in_use]
    if unused:
        few = _median([pages_in(file.ranges) for file in unused])
        return _with_files(whole, lambda file: file.in_use or pages_in(file.ranges) > few)
    if whole.processes:
        half = whole.processes[: len(whole.processes) // 2]
        return replace(whole, processes=half, complete=False)
    few = _median([pages_in(f.ranges) for system in whole.file_systems for f in system.files])
    return _with_files(whole, lambda file: pages_in(file.ranges) > few)


def _median(numbers: list[int]) -> int:
    return sorted(numbers)[len(numbers) // 2]


def _with_files(whole: WorkingSet, keep: Callable[[CachedFile], bool]) -> WorkingSet:
    systems = (
        replace(system, files=tuple(filter(keep, system.files))) for system in whole.file_systems
    )
    left = tuple(system for system in systems if system.files)
    return replace(whole, file_systems=left, complete=False)
