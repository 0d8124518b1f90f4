"""Lives of one machine that end by a power cut, on disks that forget what was not flushed."""

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from format.mark import Mark, MarkState
from tests.vm.image import mark_on
from vm.debian import copy_out
from vm.disks import ext4_complaints
from vm.lives import Guest
from vm.lossy import Command, LossyDisk, Request
from vm.machine import Machine, Result, RunningMachine

LIMIT_SECONDS = 120
"""A life that is not over by then hangs: an emulated one takes some 15 s."""
RESTORABLE = (MarkState.COMPLETE, MarkState.LOADING)
EXT4_SECTOR = 4096
"""What the root's disk writes whole: ext4's superblock is two sectors of 512 bytes, and the kernel
does not mount one that is torn (fs/ext4/super.c, ext4_load_super), hibernated or not.
"""
MOST_LOADS = 3
"""After that many loads that never ended the image is discarded (docs/DESIGN.md)."""


@dataclass(frozen=True, slots=True)
class Instant:
    """When the power is cut, counted from when the report has `pattern`.

    After so many seconds, or, if `step` is not 0, as soon as the disk has carried out that step
    of changing the store's first page: 1 the first write, 2 its flush, 3 the second write, ….
    """

    pattern: str
    seconds: float = 0
    step: int = 0

    def __str__(self) -> str:
        return f"header step {self.step}" if self.step else "any time"


class HeaderSteps:
    """Watches a disk for one of the steps that change its first page, once it is armed."""

    def __init__(self, step: int) -> None:
        self.is_armed = False
        self._left = step
        self._is_dirty = False

    def __call__(self, request: Request) -> bool:
        """Return whether the request is the step."""
        is_write = request.command == Command.WRITE and request.covers(0)
        is_flush = request.command == Command.FLUSH and self._is_dirty
        if not self.is_armed or not (is_write or is_flush):
            return False
        self._is_dirty = is_write
        self._left -= 1
        return self._left == 0


@dataclass(frozen=True, slots=True)
class Life:
    """One life: what it told, and what stood on the store when it was over."""

    result: Result
    is_cut: bool
    seconds: float
    """How long it took from the instant's pattern, if it had one."""
    mark: Mark | None

    @property
    def leaves_image(self) -> bool:
        """Whether the next boot is to resume."""
        mark = self.mark
        return mark is not None and mark.state in RESTORABLE and mark.loads < MOST_LOADS

    @property
    def is_restored(self) -> bool:
        """Whether what hibernated in another life came back: its kernel goes on in `Creating`."""
        hibernates = any(line.startswith("before ") for line in self.result.report)
        return not hibernates and "PM: hibernation: Creating image" in self.result.console

    @property
    def state(self) -> str:
        """What the mark says, in a word."""
        return self.mark.state.name.lower() if self.mark else "no mark"


@dataclass(slots=True)
class Mortal:
    """A machine with a root and a store, and the lives it has had."""

    machine: Machine
    folder: Path
    chance: Random
    lives: list[Life] = field(default_factory=list)

    @property
    def root(self) -> Path:
        """The disk with the root."""
        return self.machine.disks[0]

    @property
    def store(self) -> Path:
        """The disk with the image."""
        return self.machine.disks[1]

    def live(self, scenario: str, instant: Instant | None = None) -> Life:
        """Power on, and cut the power at the instant unless the machine goes off before."""
        steps = HeaderSteps(instant.step if instant else 0)
        number = len(self.lives) + 1
        with ExitStack() as disks:
            root = disks.enter_context(
                LossyDisk(self.root, self.folder / "root", self.chance, sector=EXT4_SECTOR)
            )
            store = disks.enter_context(
                LossyDisk(self.store, self.folder / "store", self.chance, hangs=steps)
            )
            machine = replace(
                self.machine,
                disks=[root.place, store.place],
                log=self.folder / f"life{number}.log",
                append=f"{self.machine.append} scenario={scenario}",
            )
            with machine.start(LIMIT_SECONDS) as running:
                begun = time.monotonic()
                if instant:
                    begun = _await(instant, running, store, steps)
                is_cut = instant is not None and not running.is_off_within(0)
                seconds = time.monotonic() - begun
                if is_cut:
                    running.kill()
                    result = Result(None, running.console, running.report, 0)
                else:
                    result = running.wait()
        self.lives.append(Life(result, is_cut, seconds, mark_on(self.store)))
        return self.lives[-1]

    def check(self) -> str:
        """Check what holds when the last life has come to its end; return how it began."""
        first, (*_, before, last) = self.lives[0].result, self.lives
        assert last.result.status == 0
        assert sum(life.is_restored for life in self.lives) <= 1
        assert last.is_restored == before.leaves_image, f"the mark was: {before.state}"
        if last.is_restored:
            check_continues(first, last.result)
        else:
            assert any(line.startswith("cold-boot") for line in last.result.report)
        assert last.mark is None
        assert ext4_complaints(self.root) == ""
        self._check_files(first)
        return "resumed, with nonce" if last.is_restored else "cold boot"

    def _check_files(self, first: Result) -> None:
        """What a process had synced is on the disk, whatever happened since."""
        kept = copy_out(self.root, "/root/kept", self.folder / "kept").read_bytes()
        assert hashlib.md5(kept, usedforsecurity=False).hexdigest() == first.told("kept")
        copy_out(self.root, "/root/appended", self.folder / "appended")
        numbers = [int(line) for line in (self.folder / "appended").read_text().split()]
        assert numbers == list(range(1, len(numbers) + 1))
        for life in self.lives:
            assert len(numbers) >= int(life.result.told("synced") or 0)


def words(report: Sequence[str], beginning: str) -> dict[str, str]:
    """Return the key=value words of the one line that begins so."""
    (line,) = (line for line in report if line.startswith(beginning))
    return dict(re.findall(r"(\S+?)=(\S*)", line))


def refusals(machine: Result | Guest) -> list[str]:
    """Return why the resumer did not resume."""
    return re.findall(r"torpor-resume: not resuming: (.*)", machine.console)


def check_alive(before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """What was in memory is there again, with the same boot id, and went on from there."""
    for key in ("nonce", "boot_id", "data"):
        assert before[key] == after[key]
    assert int(after["counter"]) > int(before["counter"])


def check_continues(first: Result, later: Result) -> None:
    """A machine that hibernated told `before`, and one that resumed `after`."""
    check_alive(words(first.report, "before "), words(later.report, "after "))


def check_goes_on(report: Sequence[str], name: str) -> dict[str, str]:
    """The machine is as before what ended under this name (vm/guest/goes-on.sh).

    Return what it told then.
    """
    told = words(report, f"ended={name} ")
    assert told["header-differs"] == "0"
    assert told["frozen"] == "0"
    assert told["written"] == name
    assert told["swaps"] == "1"
    check_alive(words(report, "before "), words(report, f"alive-{name} "))
    return told


def _await(
    instant: Instant, running: RunningMachine, store: LossyDisk, steps: HeaderSteps
) -> float:
    """Wait for the instant or the end of the machine; return when the report had the pattern."""
    running.wait_report(instant.pattern)
    begun = time.monotonic()
    steps.is_armed = True
    if instant.step:
        running.wait_event(store.reached)
    else:
        running.is_off_within(instant.seconds)
    return begun
