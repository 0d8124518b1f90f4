"""Times the phases of a program from within; nothing of the program itself is changed.

`python -m bench.probes WORD...` runs the command like that. In a guest a line at the end of the
program's first module does: PyInstaller's folder holds modules as files, so that one more is found
there. Hence this imports only what both frozen programs hold.

Each phase is a function, replaced where its callers look it up. Its time is its own: without that
of phases within. What a function does before its root is called is not counted.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

PYTHON, CHUNK, WAITING = "Python, all else", "Python, in a chunk", "waiting"
CODING = "LZ4"

ROOTS = {
    "store.swap:SwapStore.end_ahead": "waiting for swap before the freeze",
    "hibernate.writing:Writing.write": "save",
    "resume.restore:load": "load",
    "torpor.commands.pack:run": "pack",
    "torpor.commands.verify:run": "verify",
}
"""What is measured from its call to its return, with all threads that work meanwhile."""

PHASES = {
    "format.chunks:Encoder.encode": CHUNK,
    "format.chunks:Decoder.decode": CHUNK,
    "format.pipeline:Job.carry_out": PYTHON,
    "format.pipeline:Job.result": WAITING,
    "format.codec:_fast": CODING,
    "format.codec:_decompress": CODING,
    "format.codec:_spread": "filling",
    "format.codec:is_fill": "fill check",
    "format.chunks:crc32c": "CRC",
    "hibernate.page_types:PageTypeCounter.see": "page types",
    "hibernate.page_types:PageTypeCounter.result": "page types",
    "linux.snapshot:SnapshotDevice.alloc_swap_pages": "ALLOC_SWAP_PAGE",
    "store.swap:SwapStore.allocate": "runs of swap pages",
    "store.blocks:BlockSink.write": "beginning a write",
    "os:readv": "readv: stream",
    "os:preadv": "preadv: image",
    "os:pwritev": "pwritev: image",
    "os:write": "write: image file",
    "os:writev": "writev: stream",
    "os:posix_fadvise": "fadvise, fsync",
    "os:fsync": "fadvise, fsync",
}
"""Each phase by its functions: the module that calls it, and its name there."""

CALLS: dict[str, Callable[[Any], int]] = {"ALLOC_SWAP_PAGE": len}
"""How many calls of the kernel a result stands for, where that is not one."""

SAYS = "profile "
"""What a line of it begins with."""

_TRIALS = 500


class _Thread:
    """What one thread has done since its first phase began."""

    __slots__ = ("begun", "ended", "inside", "phases")

    def __init__(self) -> None:
        self.begun = self.ended = time.perf_counter()
        self.inside = (0.0, 0.0)
        """Seconds, and seconds of processor, of the phases within the one that runs."""
        self.phases: dict[str, list[float]] = {}
        """Of each: times measured, calls, seconds, seconds of processor."""

    def add(self, phase: str, *numbers: float) -> None:
        total = self.phases.setdefault(phase, [0, 0, 0.0, 0.0])
        self.phases[phase] = [a + b for a, b in zip(total, numbers, strict=True)]


class Probes:
    """Measures each call of a root; `tell` gets a line of JSON of it."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        self._tell = tell
        self.is_on = False
        self._threads: dict[int, _Thread] = {}

    def install(self) -> None:
        """Replace all functions of the tables. A module that a program lacks it does not call."""
        for name, phase in PHASES.items():
            _replace(name, partial(self.phase, phase))
        for name, root in ROOTS.items():
            _replace(name, partial(self.root, root))

    def phase(self, phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its calls counted."""
        count = CALLS.get(phase, lambda _result: 1)

        def measured(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - as the function's
            if not self.is_on:
                return function(*arguments, **named)
            thread = self._threads.get(threading.get_ident()) or self._new_thread()
            outside, thread.inside = thread.inside, (0.0, 0.0)
            calls = 1
            processor_begun, begun = time.thread_time(), time.perf_counter()
            try:
                result = function(*arguments, **named)
                calls = count(result)
                return result
            finally:
                thread.ended = time.perf_counter()
                took, processor = thread.ended - begun, time.thread_time() - processor_begun
                within, processor_within = thread.inside
                thread.add(phase, 1, calls, took - within, processor - processor_within)
                thread.inside = outside[0] + took, outside[1] + processor

        return measured

    def root(self, root: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with everything measured from its call to its return."""
        inner = self.phase(PYTHON, function)

        def measured(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - as the function's
            self._threads, self.is_on = {}, True
            processor, begun = time.process_time(), time.perf_counter()
            try:
                return inner(*arguments, **named)
            finally:
                took, processor = time.perf_counter() - begun, time.process_time() - processor
                self.is_on = False
                facts = {"root": root, "seconds": took, "processor": processor, **self._facts()}
                self._tell(json.dumps(facts))

        return measured

    def processor(self, phase: str) -> float:
        """Return the seconds of processor that a phase has taken in all threads."""
        return sum(one.phases[phase][3] for one in self._threads.values() if phase in one.phases)

    def _new_thread(self) -> _Thread:
        return self._threads.setdefault(threading.get_ident(), _Thread())

    def _facts(self) -> dict[str, object]:
        caller = threading.get_ident()
        threads = [
            {"calls": number == caller, "seconds": one.ended - one.begun, "phases": one.phases}
            for number, one in self._threads.items()
        ]
        return {"threads": threads, "processors": os.cpu_count(), "probe": _cost()}


def _cost() -> tuple[float, float]:
    """Return the seconds of processor that a phase adds to what is around it, and to itself."""
    probes = Probes(lambda _line: None)
    probes.is_on = True
    empty = probes.phase("", lambda: None)
    begun = time.thread_time()
    for _ in range(_TRIALS):
        empty()
    whole = (time.thread_time() - begun) / _TRIALS
    inside = probes.processor("") / _TRIALS
    return whole - inside, inside


def find(name: str) -> tuple[Any, str]:
    """Return what holds the function, a module or a class, and its name there.

    Raises ModuleNotFoundError, AttributeError.
    """
    module, _, path = name.partition(":")
    *holders, last = path.split(".")
    found = import_module(module)
    for holder in holders:
        found = getattr(found, holder)
    return found, last


def _replace(name: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    try:
        holder, last = find(name)
    except ModuleNotFoundError:
        return
    setattr(holder, last, wrap(getattr(holder, last)))


def into(path: str) -> Callable[[str], object]:
    """Return what writes lines there; it is open from now on, also while nothing can be opened."""
    fd = os.open(path, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)
    return lambda line: os.write(fd, f"{SAYS}{line}\n".encode())


def main() -> int:
    Probes(into("/dev/stdout")).install()
    from torpor.__main__ import main as run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
