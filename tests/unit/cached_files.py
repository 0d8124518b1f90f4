"""Files in the page cache: dropped from it, looked for in it and in what was recorded."""

import os
from pathlib import Path

from format.working_set import CachedFile, WorkingSet
from linux import PAGE_SIZE
from linux.page_cache import Residency
from tests.sources import opened
from workingset.record import record

LONG_ENOUGH = 3600.0
"""Seconds that only a hang takes."""

ODD = b"new\nline \xff\xfe"


def put_files(folder: Path) -> None:
    """Write three files, all cached: one only in part, one in a folder, one with an odd name."""
    (folder / "below").mkdir(parents=True)
    for name in (b"plain", b"below/deep", ODD):
        with open(os.fsencode(folder) + b"/" + name, "wb") as file:
            file.write(os.urandom(20 * PAGE_SIZE))
            os.fsync(file.fileno())
    drop(folder / "plain")
    read_pages(folder / "plain", 5)


def read_pages(path: Path, *pages: int) -> None:
    """Have these pages of a file in memory, and no others for their sake."""
    with opened(path) as fd:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        for page in pages:
            os.pread(fd, 1, page * PAGE_SIZE)


def drop(path: str | Path, *, sync: bool = False) -> None:
    """Have nothing of a file in memory."""
    with opened(path) as fd:
        if sync:
            os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def drop_all(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            drop(path)


def resident(path: str | Path) -> list[tuple[int, int]]:
    with opened(path) as fd:
        return Residency().of_file(fd)


def files_in(whole: WorkingSet) -> dict[bytes, CachedFile]:
    """Return what was recorded of the folder that is taken for all that is mounted."""
    return {file.name: file for system in whole.file_systems for file in system.files}


def recorded() -> WorkingSet:
    """Record the files, and no processes."""
    whole = record(limit=LONG_ENOUGH)
    assert whole.complete
    return whole._replace(processes=())
