"""Buffers of whole pages, and work done in parallel whose results come back in order."""

import ctypes
import mmap
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from format.layout import PAGE_SIZE

T = TypeVar("T")

THREAD_STACK = 1 << 20
"""Bytes for the stack of a worker: the default of 8 MiB would be locked in memory with all the
rest, and the compressor of the lz4 wheel needs more than 256 KiB."""

_MALLOC_KEEPS = {-1: 16 << 20, -2: 4 << 20, -3: 16 << 20}
"""mallopt(3): bytes free before malloc trims (-1), got at a time (-2), got by mmap (-3)."""

CHUNK_SIZE = 1 << 20
"""Bytes of stream in the chunks that we write. LZ4 is a third slower with 64 KiB; more would only
take more memory."""

WORKERS = 2
"""Threads that compress or decompress; the codec and the checksum run outside Python's lock."""

DEPTH = 6
"""Jobs begun before the first one's result is taken, and so the buffers that they need."""


def prepare_process() -> None:
    """Set this process up for large buffers on several threads; once, before there are any.

    The codec returns every chunk in new memory. malloc would give it back to the kernel after each
    one: 180,000 page faults for 1.6 GiB of stream, and a third of the time of a verification.
    """
    threading.stack_size(THREAD_STACK)
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        for parameter, value in _MALLOC_KEEPS.items():
            libc.mallopt(parameter, value)


class PageBuffer:
    """Memory of whole pages, aligned to pages, in use for as long as the object lives.

    `pages` are its pages one by one, made once: /dev/snapshot moves one page per I/O segment.
    """

    __slots__ = ("pages", "view")

    def __init__(self, size: int) -> None:
        if size % PAGE_SIZE:
            raise ValueError(f"{size} bytes are not whole pages")
        self.view = memoryview(mmap.mmap(-1, size))
        self.pages = [self.view[at : at + PAGE_SIZE] for at in range(0, size, PAGE_SIZE)]


def in_order(jobs: Iterable[Callable[[], T]]) -> Generator[T, None, None]:
    """Run the jobs on worker threads and yield their results in the order of the jobs.

    At most DEPTH jobs are under way or waiting to be taken: when job n is drawn from `jobs`, the
    result of job n - DEPTH has been used up, so DEPTH buffers used in turn are enough.
    The first error of a job is raised in its place. No thread is left when this ends, or is closed.
    """
    pending: deque[Future[T]] = deque()
    with ThreadPoolExecutor(WORKERS) as executor:
        try:
            for job in jobs:
                pending.append(executor.submit(job))
                if len(pending) == DEPTH:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
