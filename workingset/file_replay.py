"""Reads ahead the missing pages of a working set's files, in the order of the disk."""

import errno
import os
import stat
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from typing import NamedTuple

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

_MOST_RANGES = 1 << 16
"""Ranges that are looked at together, and pieces that are put in the order of the disk: a few
files, or part of one, may have more than there is room for."""

_GROUP_BYTES = 2 << 20
_GROUP_PIECES = 64
"""What one thread asks for before it waits."""


class _Open:
    """A file that is what was recorded, and open."""

    __slots__ = ("fd", "left", "pages", "ranges")

    def __init__(self, fd: int, pages: int, ranges: Ranges) -> None:
        self.fd = fd
        self.pages = pages
        self.ranges = ranges
        """Some may begin or end behind the pages that it has."""
        self.left = len(ranges)
        """Ranges of which it is not known that they are in memory."""


class _Part(NamedTuple):
    """Some of the ranges of an open file."""

    file: _Open
    recorded: int
    """How many."""
    ranges: Runs
    """As far as the file has them."""


class _Piece(NamedTuple):
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
        files = (file for file in system.files if file.in_use == in_use)
        tree = find_tree(self._mounted, system.device, system.root)
        root = None
        if tree:
            with suppress(OSError):
                root = open_tree(tree)
        if root is None:
            self._stats.skip_file(Skipped.UNMOUNTED, sum(1 for _ in files))
            return
        try:
            for batch in in_groups(files, _ranges_of, _MOST_RANGES, self._batch):
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
            for parts in in_groups(_parts(found), _ranges_of, _MOST_RANGES):
                self._read(parts)
        finally:
            self._stats.restored_files += sum(not file.left for file in found)
            for file in found:
                os.close(file.fd)

    def _read(self, parts: Sequence[_Part]) -> None:
        before = [self._missing(part) for part in parts]
        pages = self._stats.file_pages
        missing = [pages_in(runs) for runs in before]
        pages.resident += sum(pages_in(part.ranges) for part in parts) - sum(missing)
        pieces = chain.from_iterable(
            _pieces(part.file.fd, runs) for part, runs in zip(parts, before, strict=True)
        )
        try:
            while some := sorted(islice(pieces, _MOST_RANGES), key=lambda piece: piece.place):
                groups = in_groups(some, lambda piece: piece.size, _GROUP_BYTES, _GROUP_PIECES)
                for _ in self._threads.map(self._read_group, groups):
                    pass
        finally:
            for part, count in zip(parts, missing, strict=True):
                after = pages_in(self._missing(part))
                pages.restored += max(count - after, 0)  # some may have been dropped meanwhile
                part.file.left -= 0 if after else part.recorded

    def _missing(self, part: _Part) -> Runs:
        """Return the recorded pages that are not in memory."""
        try:
            return list(_without(part.ranges, self._residency.of_file(part.file.fd)))
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
        return _Open(opening.reopen(found, _READ_FLAGS), pages, file.ranges)
    except OSError:
        return Skipped.REFUSED
    finally:
        os.close(found)


def _ranges_of(some: CachedFile | _Part) -> int:
    return len(some.ranges)


def _parts(files: Sequence[_Open]) -> Iterator[_Part]:
    """Yield all of the files, each in parts of at most _MOST_RANGES."""
    for file in files:
        for at in range(0, len(file.ranges), _MOST_RANGES):
            some = file.ranges[at : at + _MOST_RANGES]
            within = [(first, min(count, file.pages - first)) for first, count in some]
            yield _Part(file, len(some), [run for run in within if run[1] > 0])


def _without(ranges: Runs | Ranges, there: Runs) -> Iterator[tuple[int, int]]:
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
