"""Brings a working set back, at the lowest priority."""

import os
import resource
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from format.working_set import WorkingSet
from linux import tasks
from linux.machine import boot_id
from linux.mounts import MountTable, read_mounts
from state.working_set import ReplayOutcome, ReplayRecord
from workingset.file_replay import FileReplay
from workingset.limits import Limits, StoppedError
from workingset.process_replay import ProcessReplay
from workingset.stats import Stats
from workingset.trees import trees

_THREADS = 4
"""Requests that are under way; what one waits for, others have read meanwhile."""

_MOST_OPEN = 2048
"""Files that are put in the order of the disk together."""

_OTHER_FILES = 64
"""Descriptors for all the rest."""


def replay(whole: WorkingSet, is_asked: Callable[[], bool], stats: Stats) -> str:
    """Bring back what there is room for: files in use, processes, then the other files.

    Returns why it ended before all was done, "" if it was. `stats` is filled meanwhile; `is_asked`
    says whether somebody wants it to end. This thread stays idle in the sense of ioprio_set(2).
    """
    stats.files, stats.processes = whole.files, len(whole.processes)
    stats.file_pages.recorded, stats.process_pages.recorded = whole.file_pages, whole.process_pages
    tasks.be_idle()
    limits = Limits(is_asked)
    with ThreadPoolExecutor(_THREADS) as threads:
        mounted = trees(MountTable(read_mounts()))
        files = FileReplay(mounted, limits, stats, threads, _files_at_once())
        try:
            for system in whole.file_systems:
                files.replay(system, with_paths=whole.with_paths, in_use=True)
            if whole.boot_id == UUID(boot_id()):
                ProcessReplay(limits, stats, threads).replay(whole.processes)
            else:
                stats.skipped_processes = len(whole.processes)
            for system in whole.file_systems:
                files.replay(system, with_paths=whole.with_paths, in_use=False)
        except StoppedError as error:
            return str(error)
    return ""


def replay_and_keep(whole: WorkingSet, is_asked: Callable[[], bool]) -> ReplayRecord:
    """Bring it back as `replay` does; return how that went, kept for `torpor status`, too.

    Raises UnreadableError.
    """
    pid, now, begun = os.getpid(), time.time(), time.monotonic()
    ReplayRecord(ReplayOutcome.RUNNING, now, 0, pid=pid, started=tasks.start_of(pid)).save()
    stats = Stats()
    reason = replay(whole, is_asked, stats)
    seconds = round(time.monotonic() - begun, 3)
    record = ReplayRecord(
        ReplayOutcome.STOPPED if reason else ReplayOutcome.DONE,
        now,
        seconds,
        reason,
        {
            "recorded": stats.files,
            "restored": stats.restored_files,
            "skipped": sum(stats.skipped_files.values()),
        },
        stats.file_pages.counts(),
        {"recorded": stats.processes, "skipped": stats.skipped_processes},
        stats.process_pages.counts(),
        {str(why): count for why, count in stats.skipped_files.items()},
    )
    record.save()
    return record


def _files_at_once() -> int:
    """Return how many files may be open, having asked for as many as are of use."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_OPEN + _OTHER_FILES
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(min(_MOST_OPEN, soft - _OTHER_FILES), 1)
