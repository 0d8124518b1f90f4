"""Looks for cached files in whole trees, with a process for each processor.

Processes, not threads, because the work is Python between system calls of a microsecond each. They
write what they find to shared memory, and read from a pipe which folder is next.
"""

import contextlib
import marshal
import os
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple, Self

from format.working_set import CachedFile
from linux import opening
from workingset.files import Examiner
from workingset.trees import Tree, open_tree

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOATIME | os.O_NOFOLLOW
_CACHED = opening.BELOW | opening.RESOLVE_CACHED
"""A name that is not in the kernel's cache has nothing cached below it: nothing is read for it."""

_JOBS_FOR_EACH = 32
"""Folders to share out for each process: with fewer one might walk long after the others."""

_MOST_JOBS = 1024
"""As many numbers fit in the smallest pipe while nobody reads yet (pipe(7))."""

_NUMBER = 4
"""Bytes of a job's number, and of a batch's size."""

_BATCH = 256
"""Files that are written to the shared memory together."""

_MOST_BYTES = 32 << 20
"""Bytes of what one process may find, some 200,000 files: any of them may find most."""

_SECONDS_FOR_EACH = 6e-6
"""For a file that was found: to be put together with the others when all have ended."""

_GRACE = 0.2
"""Seconds for a process to see that the time is up, before it is ended."""


class _Job(NamedTuple):
    """A folder to look into."""

    tree: int
    path: bytes
    """Below the mount; b"" for the mount itself."""
    deep: bool
    """Whether the folders in it belong to the job."""


class Walkers:
    """The processes, at work from the start; a context manager that leaves none behind."""

    def __init__(
        self, trees: Sequence[Tree], deadline: float, count: int, *, with_handles: bool
    ) -> None:
        """`deadline` is a time.monotonic(); `count` how many processes there are to be."""
        self._deadline = deadline
        self._walk = _Walk(trees, deadline, count, with_handles=with_handles)
        self._jobs = self._walk.jobs(count * _JOBS_FOR_EACH)
        self._results: list[int] = []
        self._at_work: dict[int, int] = {}
        """The result of each process that has not ended."""
        queue = self._queue()
        for _ in range(count):
            result = os.memfd_create("torpor-walker")
            if (pid := os.fork()) == 0:
                self._walk_and_exit(queue, result)
            self._at_work[pid] = result
        os.close(queue)

    @property
    def roots(self) -> dict[int, int]:
        """The open folders of the trees by their numbers, but for those that are hidden."""
        return self._walk.roots

    @property
    def pids(self) -> list[int]:
        """Return the processes that are still at work."""
        return list(self._at_work)

    def _queue(self) -> int:
        """Return a pipe that gives out the number of each job once."""
        reading, writing = os.pipe2(os.O_CLOEXEC)
        os.write(writing, b"".join(n.to_bytes(_NUMBER, "little") for n in range(len(self._jobs))))
        os.close(writing)
        return reading

    def _walk_and_exit(self, queue: int, result: int) -> None:
        """Be one of the processes. Does not return, whatever happens."""
        status = 1
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            with open(result, "wb", closefd=False) as out:
                while number := os.read(queue, _NUMBER):
                    self._walk.carry_out(self._jobs[int.from_bytes(number, "little")], out)
            status = int(self._walk.is_over())
        finally:
            os._exit(status)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        for result in [*self._results, *self._at_work.values()]:
            os.close(result)
        self._walk.close()

    def wait(self) -> bool:
        """Wait until all have walked; return whether they came to the end of it in time."""
        complete = self._reap(self._deadline + _GRACE)
        self._end()
        return complete

    def _reap(self, until: float) -> bool:
        """Reap those that end until then; return whether all have, each with its work finished."""
        complete = True
        while self._at_work and time.monotonic() < until:
            for pid, result in list(self._at_work.items()):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    self._results.append(result)
                    del self._at_work[pid]
                    complete = complete and status == 0
            time.sleep(0.002)
        return complete and not self._at_work

    def _end(self) -> None:
        """End those that are late. One that waits for a disk stays: what it found is not used."""
        for pid in self._at_work:
            os.kill(pid, signal.SIGKILL)
        self._reap(time.monotonic() + _GRACE)

    def found(self) -> Iterator[tuple[int, bytes, CachedFile]]:
        """Yield what they have found: the number of the tree, the path in it, and the file."""
        for result in self._results:
            yield from _loaded(os.pread(result, os.fstat(result).st_size, 0))


def _loaded(data: bytes) -> Iterator[tuple[int, bytes, CachedFile]]:
    """Yield what whole batches hold; a batch that was cut off is left out."""
    at = 0
    while at < len(data):
        begin = at + _NUMBER
        end = begin + int.from_bytes(data[at:begin], "little")
        if end > len(data):
            return
        for tree, path, name, check, ranges in marshal.loads(data[begin:end]):
            yield tree, path, CachedFile(name, check, in_use=False, ranges=ranges)
        at = end


class _Walk:
    """The walk through the trees, all or part of it."""

    def __init__(
        self, trees: Sequence[Tree], deadline: float, walkers: int, *, with_handles: bool
    ) -> None:
        self._deadline = deadline
        self._examiner = Examiner(self.is_over, with_handles=with_handles)
        self._room = _MOST_BYTES
        self._seconds_for_each = _SECONDS_FOR_EACH * walkers
        self.roots: dict[int, int] = {}
        for number, tree in enumerate(trees):
            with contextlib.suppress(OSError):
                self.roots[number] = open_tree(tree)

    def close(self) -> None:
        """Close the trees."""
        for root in self.roots.values():
            os.close(root)

    def is_over(self) -> bool:
        """Return whether there is no time left, or no room."""
        return time.monotonic() >= self._deadline or self._room < 0

    def jobs(self, wanted: int) -> list[_Job]:
        """Share the trees out as evenly as that goes, by their uppermost folders."""
        deep = deque(_Job(number, b"", deep=True) for number in self.roots)
        shallow: list[_Job] = []
        while deep and len(deep) + len(shallow) < wanted and not self.is_over():
            job = deep.popleft()
            shallow.append(_Job(job.tree, job.path, deep=False))
            below = self._folders(job)
            if len(deep) + len(shallow) + len(below) > _MOST_JOBS:
                shallow[-1] = job  # as one, with all that is below it
                break
            deep.extend(_Job(job.tree, path, deep=True) for path in below)
        return [*deep, *shallow]

    def _folders(self, job: _Job) -> list[bytes]:
        with self._opened(job.tree, job.path) as folder:
            return [
                _below(job.path, entry)
                for entry in _entries(folder)
                if entry.is_dir(follow_symlinks=False)
            ]

    def carry_out(self, job: _Job, out: BinaryIO) -> None:
        """Look at all files of a job, and write down what is cached of them."""
        batch: list[tuple[object, ...]] = []
        folders = [job.path]
        while folders and not self.is_over():
            path = folders.pop()
            for place, file in self._look_into(job, path, folders):
                batch.append((job.tree, place, file.name, file.check, file.ranges))
                if len(batch) == _BATCH:
                    self._write(batch, out)
        self._write(batch, out)

    def _look_into(
        self, job: _Job, path: bytes, folders: list[bytes]
    ) -> Iterator[tuple[bytes, CachedFile]]:
        """Yield path and file of what is cached of one folder; append to `folders` those in it."""
        with self._opened(job.tree, path) as folder:
            for entry in _entries(folder):
                if entry.is_file(follow_symlinks=False):
                    place = _below(path, entry)
                    if file := self._examiner.look(folder, os.fsencode(entry.name), place):
                        yield place, file
                elif job.deep and entry.is_dir(follow_symlinks=False):
                    folders.append(_below(path, entry))
                if self.is_over():
                    return

    @contextlib.contextmanager
    def _opened(self, tree: int, path: bytes) -> Iterator[int]:
        """Open a folder; -1 for one that the kernel's cache does not have: nothing is in it."""
        try:
            folder = opening.open_below(self.roots[tree], path or b".", _FOLDER_FLAGS, _CACHED)
        except OSError:
            folder = -1
        try:
            yield folder
        finally:
            if folder >= 0:
                os.close(folder)

    def _write(self, batch: list[tuple[object, ...]], out: BinaryIO) -> None:
        data = marshal.dumps(batch)
        out.write(len(data).to_bytes(_NUMBER, "little") + data)
        out.flush()
        self._room -= len(data)
        self._deadline -= len(batch) * self._seconds_for_each
        batch.clear()


def _entries(folder: int) -> "Iterator[os.DirEntry[str]]":
    """Yield what is in the open folder, up to where it cannot be read."""
    if folder >= 0:
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            yield from entries


def _below(path: bytes, entry: "os.DirEntry[str]") -> bytes:
    name = os.fsencode(entry.name)
    return path + b"/" + name if path else name
