"""Reads ahead the missing pages of a working set's files, in the order of the disk."""

import errno
import os
import stat
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice

from format.working_set import CachedFile, FileSystem, Ranges, pages_in
from linux import PAGE_SIZE, opening
from linux.extents import FileExtent, file_extents
from linux.page_cache import Residency, Runs, largest_readahead
from workingset.files import check_of
from workingset.limits import Limits, in_groups
from workingset.stats import Skipped, Stats
from workingset.trees import Tree, find_tree, open_tree

_READ_FLAGS = os.O_RDONLY | os.O_NOATIME | os.O_NONBLOCK | os.O_NOCTTY

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)

_GROUP_BYTES = 2 << 20
_GROUP_PIECES = 64
"""What one thread asks for before it waits."""


@dataclass(frozen=True, slots=True)
class _Open:
    """A file that is what was recorded, and open."""

    fd: int
    ranges: Ranges


@dataclass(frozen=True, slots=True)
class _Piece:
    """Something to be read at once."""

    place: int
    """Byte on the device; for a piece that lies nowhere, that of the piece before."""
    fd: int
    offset: int
    size: int


class FileReplay:
    """Brings files back, the same ones in the same order as the working set has them."""

    def __init__(
        self, mounted: Sequence[Tree], limits: Limits, stats: Stats, threads: Executor, batch: int
    ) -> None:
        """`batch` is how many files may be open at a time."""
        self._mounted = mounted
        self._limits = limits
        self._stats = stats
        self._threads = threads
        self._batch = batch
        self._residency = Residency(limits.is_asked)

    def replay(self, system: FileSystem, *, with_paths: bool, in_use: bool) -> None:
        """Bring back its files that were in use, or the others. Raises StoppedError."""
        files = [file for file in system.files if file.in_use == in_use]
        tree = find_tree(self._mounted, system.device, system.root)
        root = None
        if tree:
            with suppress(OSError):
                root = open_tree(tree)
        if root is None:
            self._stats.skip_file(Skipped.UNMOUNTED, len(files))
            return
        try:
            remaining = iter(files)
            while batch := list(islice(remaining, self._batch)):
                self._bring_back(root, batch, with_paths=with_paths)
        finally:
            os.close(root)

    def _bring_back(self, root: int, files: Sequence[CachedFile], *, with_paths: bool) -> None:
        """Bring back what is missing of a batch."""
        self._limits.check()
        found: list[_Open] = []
        try:
            for each in self._threads.map(partial(_opened, root, with_paths=with_paths), files):
                if isinstance(each, _Open):
                    found.append(each)
                else:
                    self._stats.skip_file(each)
            self._read(found)
        finally:
            for file in found:
                os.close(file.fd)

    def _read(self, files: Sequence[_Open]) -> None:
        before = {file.fd: self._missing(file) for file in files}
        pages = self._stats.file_pages
        pages.resident += sum(pages_in(f.ranges) - pages_in(before[f.fd]) for f in files)
        pieces = sorted(
            (piece for fd, runs in before.items() for piece in _pieces(fd, runs)),
            key=lambda piece: piece.place,
        )
        try:
            groups = in_groups(pieces, lambda piece: piece.size, _GROUP_BYTES, _GROUP_PIECES)
            for _ in self._threads.map(self._read_group, groups):
                pass
        finally:
            after = [pages_in(self._missing(file)) for file in files]
            pages.restored += sum(map(pages_in, before.values())) - sum(after)
            self._stats.restored_files += after.count(0)

    def _missing(self, file: _Open) -> Runs:
        """Return the recorded pages that are not in memory."""
        try:
            return list(_without(file.ranges, self._residency.of_file(file.fd)))
        except OSError:
            return []

    def _read_group(self, group: Sequence[_Piece]) -> None:
        """Have the pieces read, then wait for them."""
        self._limits.check(sum(piece.size for piece in group))
        with suppress(OSError):  # a bad sector: the next reader gets the error
            for piece in group:
                os.posix_fadvise(piece.fd, piece.offset, piece.size, os.POSIX_FADV_WILLNEED)
            for piece in group:
                os.pread(piece.fd, 1, piece.offset + piece.size - 1)


def _opened(root: int, file: CachedFile, *, with_paths: bool) -> _Open | Skipped:
    """Open a file if it is what was recorded: nothing else is opened for reading."""
    find = opening.open_below if with_paths else opening.open_handle
    try:
        found = find(root, file.name, os.O_PATH | os.O_NOFOLLOW)
    except (OSError, ValueError) as error:
        is_gone = isinstance(error, OSError) and error.errno in _GONE
        return Skipped.GONE if is_gone else Skipped.REFUSED
    try:
        status = os.fstat(found)
        if not stat.S_ISREG(status.st_mode) or check_of(status) != file.check:
            return Skipped.CHANGED
        pages = -(-status.st_size // PAGE_SIZE)
        ranges = [(first, min(count, pages - first)) for first, count in file.ranges]
        within = tuple((first, count) for first, count in ranges if count > 0)
        return _Open(opening.reopen(found, _READ_FLAGS), within)
    except OSError:
        return Skipped.REFUSED
    finally:
        os.close(found)


def _without(ranges: Ranges, there: Runs) -> Iterator[tuple[int, int]]:
    """Yield what of the ranges is not in the runs; both are in order."""
    runs = iter([*there, (1 << 62, 1)])
    first, count = next(runs)
    for start, pages in ranges:
        at, end = start, start + pages
        while at < end:
            while first + count <= at:
                first, count = next(runs)
            if at < first:
                yield at, min(first, end) - at
            at = first + count


def _pieces(fd: int, missing: Runs) -> Iterator[_Piece]:
    """Yield what there is to read of a file, where it lies on the device."""
    if not missing:
        return
    most = largest_readahead(os.fstat(fd).st_dev)
    extents: list[FileExtent] = []
    with suppress(OSError):  # FAT has no FIEMAP, nor has squashfs
        extents = file_extents(fd, sync=False)
    starts = [extent.logical for extent in extents]
    place = 0
    for first, count in missing:
        offset, end = first * PAGE_SIZE, (first + count) * PAGE_SIZE
        while offset < end:
            at = bisect_right(starts, offset) - 1
            place, until = _place(extents, at, offset, place)
            size = min(until, end, offset + most) - offset
            yield _Piece(place, fd, offset, size)
            offset += size


def _place(extents: Sequence[FileExtent], at: int, offset: int, before: int) -> tuple[int, int]:
    """Return where a byte of a file lies, and up to which byte it goes on from there."""
    extent = extents[at] if at >= 0 else None
    if extent and offset < extent.logical + extent.length:
        return extent.physical + offset - extent.logical, extent.logical + extent.length
    return before, extents[at + 1].logical if at + 1 < len(extents) else 1 << 63
