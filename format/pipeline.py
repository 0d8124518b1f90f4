"""Buffers of whole pages, and work done in parallel whose results come back in order."""

import mmap
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import closing, suppress
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from format import PAGE_SIZE

T = TypeVar("T")

THREAD_STACK = 1 << 20
"""Bytes for the stack of a thread: the default of 8 MiB would be locked in memory with all the
rest."""

CHUNK_SIZE = 1 << 20
"""Bytes of stream in the chunks that we write. LZ4 is a third slower with 64 KiB; more would only
take more memory."""

THREADS = min(len(os.sched_getaffinity(0)), 4)
"""Threads that compress or decompress, the one that takes the results among them; the codec and the
checksum run outside Python's lock. The kernel's own hibernation has three and one for the checksum
(CMP_THREADS in kernel/power/swap.c)."""

DEPTH = 2 * THREADS + 1
"""Jobs begun before the first one's result is taken, and so the buffers that they need."""


def prepare_process() -> None:
    """Set this process up for several threads; once, before there are any."""
    threading.stack_size(THREAD_STACK)


class PageBuffer:
    """Memory of whole pages, aligned to pages, in use for as long as the object lives.

    `pages` are its pages one by one, made once: /dev/snapshot moves one page per I/O segment.
    """

    __slots__ = ("pages", "view")

    def __init__(self, size: int) -> None:
        if size % PAGE_SIZE:
            raise ValueError(f"{size} bytes are not whole pages")
        self.view = memoryview(mmap.mmap(-1, size))
        self.pages = pages_of(self.view)


def pages_of(view: memoryview) -> list[memoryview]:
    """Return the pages of `view` one by one: /dev/snapshot moves one page per I/O segment."""
    return [view[at : at + PAGE_SIZE] for at in range(0, len(view), PAGE_SIZE)]


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
        """Wait until it is done; return or raise what came of it. Once only."""
        self._done.acquire()
        if self._error is not None:
            raise self._error
        return self._value


class Threads:
    """Threads that carry out jobs, the one that came first first; started with the first job.

    Not concurrent.futures: a job is no quicker here, but that is 24 ms of imports.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._jobs: SimpleQueue[Job[Any] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def begin(self, run: Callable[[], T]) -> Job[T]:
        """Have it run; return the job, whose result is to be taken."""
        while len(self._threads) < self._count:
            thread = threading.Thread(target=self._work, daemon=True)
            thread.start()
            self._threads.append(thread)
        job = Job(run)
        self._jobs.put(job)
        return job

    def _work(self) -> None:
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


def in_order(jobs: Iterable[Callable[[], T]]) -> Generator[T, None, None]:
    """Run the jobs on THREADS threads and yield their results in the order of the jobs.

    At most DEPTH jobs are under way or waiting to be taken: when job n is drawn from `jobs`, the
    result of job n - DEPTH has been used up, so DEPTH buffers used in turn are enough.
    The caller, who draws and uses, does jobs itself rather than wait for one: as many threads as
    processors, none of which has to wait for one.
    The first error of a job is raised in its place. No thread is left when this ends, or is closed.
    """
    pending: deque[Job[T]] = deque()
    with closing(Threads(THREADS - 1)) as threads:
        for job in jobs:
            pending.append(threads.begin(job))
            if len(pending) == DEPTH:
                yield threads.help_until(pending.popleft())
        while pending:
            yield threads.help_until(pending.popleft())
