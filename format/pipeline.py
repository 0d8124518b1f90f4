"""Buffers of whole pages, and work done in parallel whose results come back in order."""

import mmap
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import closing, contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from format import PAGE_SIZE, whole_pages

T = TypeVar("T")

THREAD_STACK = 256 << 10
"""Bytes for the stack of a thread: the default of 8 MiB would be locked in memory with all the
rest. Those that write an image begin when hardly any memory is free."""

CHUNK_SIZE = 2 << 20
"""Bytes of stream in the chunks that we write. Python has as much to do for a small one, and lets
its lock go as often; more would only take more memory."""

_MEMORY_PER_THREAD = 64 << 20
"""Bytes that a machine has to have for each thread: it takes some 5 MiB of them."""


def _thread_count(processors: int, memory: int) -> int:
    """Return how many threads a machine of so many bytes of memory compresses with."""
    return max(1, min(processors, memory // _MEMORY_PER_THREAD))


THREADS = _thread_count(
    len(os.sched_getaffinity(0)), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
)
"""Threads that compress or decompress, the one that takes the results among them; the codec and the
checksum run outside Python's lock."""


def depth(threads: int) -> int:
    """Return how many jobs are begun before the first one's result is taken: so many buffers."""
    return threads + 2


def prepare_process() -> None:
    """Set this process up for several threads; once, before there are any."""
    threading.stack_size(THREAD_STACK)


class PageBuffer:
    """Memory aligned to pages, in use for as long as the object lives.

    `whole` is all of it, whole pages; `view` are `size` bytes of it, with `before` bytes before
    them. `pages` are those of `view` one by one, made once: /dev/snapshot moves one page per I/O
    segment.
    """

    __slots__ = ("pages", "view", "whole")

    def __init__(self, size: int, before: int = 0) -> None:
        if size % PAGE_SIZE:
            raise ValueError(f"{size} bytes are not whole pages")
        self.whole = memoryview(mmap.mmap(-1, whole_pages(before + size)))
        self.view = self.whole[before : before + size]
        self.pages = [self.view[at : at + PAGE_SIZE] for at in range(0, size, PAGE_SIZE)]


class Job(Generic[T]):
    """Something to be done by a thread, and what came of it."""

    __slots__ = ("_done", "_error", "_run", "_value", "is_done")

    def __init__(self, run: Callable[[], T]) -> None:
        self._run = run
        self._done = threading.Lock()
        self._done.acquire()
        self._error: BaseException | None = None
        self._value: T
        self.is_done = False

    def carry_out(self) -> None:
        """Do it."""
        try:
            self._value = self._run()
        except BaseException as error:  # noqa: BLE001 - raised where the result is taken
            self._error = error
        self.is_done = True
        self._done.release()

    def result(self) -> T:
        """Wait until it is done; return or raise what came of it."""
        if not self.is_done:
            with self._done:
                pass
        if self._error is not None:
            raise self._error
        return self._value


class Threads:
    """Threads that carry out jobs, the one that came first first; started with the first job.

    Not concurrent.futures: a job is no quicker here, but that is 24 ms of imports.
    """

    def __init__(self, count: int, processors: Iterable[int] = ()) -> None:
        """Each thread runs on one of the `processors`, or, with too few, where its maker does."""
        self._count = count
        self._processors = iter(processors)
        self._jobs: SimpleQueue[Job[Any] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def begin(self, run: Callable[[], T]) -> Job[T]:
        """Have it run; return the job, whose result is to be taken."""
        while len(self._threads) < self._count:
            place = (next(self._processors, None),)
            thread = threading.Thread(target=self._work, args=place, daemon=True)
            thread.start()
            self._threads.append(thread)
        job = Job(run)
        self._jobs.put(job)
        return job

    def _work(self, processor: int | None) -> None:
        if processor is not None:
            _stay_on({processor})
        while (job := self._jobs.get()) is not None:
            job.carry_out()

    def help_until(self, job: Job[T]) -> T:
        """Carry out jobs that nobody has begun until `job` is done; return what came of it."""
        with suppress(Empty):
            while not job.is_done and (waiting := self._jobs.get_nowait()):
                waiting.carry_out()
        return job.result()

    def close(self) -> None:
        """Forget the jobs that are not begun, wait for the others; no thread is left."""
        with suppress(Empty):
            while True:
                self._jobs.get_nowait()
        for _ in self._threads:
            self._jobs.put(None)
        while self._threads:
            self._threads.pop().join()


def _stay_on(processors: set[int]) -> None:
    """Have this thread run on these and no other, while there is one of them."""
    with suppress(OSError):
        os.sched_setaffinity(0, processors)


@contextmanager
def _spread(*, alone: bool) -> Generator[list[int], None, None]:
    """Yield processors for other threads while this one, if `alone`, has one for itself."""
    if not alone:
        yield []
        return
    allowed = os.sched_getaffinity(0)
    own, *others = sorted(allowed)
    _stay_on({own})
    try:
        yield others
    finally:
        _stay_on(allowed)


def in_order(
    jobs: Iterable[Callable[[], T]], threads: int = THREADS, *, alone: bool = False
) -> Generator[T, None, None]:
    """Run the jobs on so many threads and yield their results in the order of the jobs.

    At most D = depth(threads) jobs are under way or waiting to be taken: when job n is drawn from
    `jobs`, the result of job n - D has been used up, so D buffers used in turn are enough.
    The caller, who draws and uses, does jobs itself rather than wait for one: as many threads as
    processors, none of which has to wait for one.
    The first error of a job is raised in its place. No thread is left when this ends, or is closed.
    Where this process is `alone` on the machine, each thread has a processor of its own: a
    scheduler may leave two of them on one, if these share no cache.
    """
    pending: deque[Job[T]] = deque()
    with _spread(alone=alone) as others, closing(Threads(threads - 1, others)) as helpers:
        for job in jobs:
            pending.append(helpers.begin(job))
            if len(pending) == depth(threads):
                yield helpers.help_until(pending.popleft())
        while pending:
            yield helpers.help_until(pending.popleft())
