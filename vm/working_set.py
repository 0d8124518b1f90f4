"""A machine with a slow disk and most of its memory in use, and how long until it is warm again.

vm/guest/working-set.sh is what it does; here is what it takes, and what it tells.
"""

import json
import random
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vm.disks import MIB, blank_disk, swap_disks
from vm.host import run
from vm.initramfs import new_machine
from vm.kernels import Kernel
from vm.machine import Machine, MachineError, Result, RunningMachine, Throttle

MEMORY_MIB = 512
HOLD_MIB = 84
"""Random memory of each of two processes."""
FILES_MIB = 168
SMALL_FILES = 800
SMALL_KIB = (4, 48)
LARGE_MIB = 4
SWAP_MIB = 768
DISK = Throttle(300, 100_000_000)
"""Requests and bytes in a second, about what a hard disk does."""
LIMIT_SECONDS = 900
FIRST_SWAP = "c"
"""Of /dev/vdX; vda is the root, vdb has the files."""

_RECORDED = r"torpor: working set of .* recorded in (\d+\.\d) s"


@dataclass(frozen=True, slots=True)
class Warming:
    """One hibernation, and the way back to a warm machine. Pages of 4096 bytes; seconds."""

    used: int
    """Percent of the memory, before."""
    files: tuple[int, ...]
    """Pages of the page cache before, when the machine was back, and in the end."""
    anon: tuple[int, ...]
    """The same of the processes."""
    worked: float
    """Until the work over all of it was done."""
    settled: float
    """Until all was in memory, too."""
    swapped_out: int
    """Pages, since the machine was back."""
    is_same: bool
    """Whether every byte of both is as it was."""
    recorded: float | None
    """How long recording took."""
    saved: float
    """From the beginning of the hibernation until the power was off, of the host's clock."""
    power_on: float
    """From power-on until hibernate returned, of the host's clock."""
    replay: dict[str, Any] = field(default_factory=dict)
    """torpor status --json, replay."""

    @property
    def warm_share(self) -> float:
        """Which share of the recorded pages is in memory after the replay."""
        counts = [self.replay[name] for name in ("file_pages", "process_pages")]
        there = sum(int(count["resident"] + count["restored"]) for count in counts)
        return there / sum(int(count["recorded"]) for count in counts)


def files_disk(path: Path) -> Path:
    """Make an ext4 disk with FILES_MIB of random files, small and large ones, always the same."""
    staging = path.with_suffix(".files")
    chance = random.Random(1)
    left = FILES_MIB * MIB
    for number in range(SMALL_FILES):
        size = chance.randint(*SMALL_KIB) << 10
        left -= _file(staging / f"small{number % 20:02}/{number:04}", size, chance)
    for number in range(left // (LARGE_MIB * MIB)):
        _file(staging / f"large/{number:02}", LARGE_MIB * MIB, chance)
    blank_disk(path, FILES_MIB + 64)
    run("mke2fs", "-q", "-t", "ext4", "-E", "root_owner=0:0", "-d", staging, path)
    shutil.rmtree(staging)
    return path


def _file(path: Path, size: int, chance: random.Random) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(chance.randbytes(size))
    return size


def make_machine(kernel: Kernel, folder: Path, ways: Sequence[str], log: Path) -> Machine:
    """Return a machine that is off and hibernates by these ways, one after the other."""
    swaps = swap_disks(folder, len(ways), SWAP_MIB)
    disks = [files_disk(folder / "files.img"), *swaps]
    append = f"scenario=working-set ways={','.join(ways)} hold={HOLD_MIB}"
    machine = new_machine(kernel, folder, disks, append, MEMORY_MIB)
    return replace(machine, log=log, throttle=DISK)


@dataclass(frozen=True, slots=True)
class Sleep:
    """One hibernation, and the way back."""

    way: str
    before: Result
    """The life that it ended."""
    after: Result
    saved: float
    answered: float
    """Seconds from power-on until a process of the guest said anything."""
    power_on: float
    """As in Warming, as `saved`."""
    stored: int
    """Bytes of the swap that were written to."""


def sleeps(machine: Machine, ways: Sequence[str]) -> Iterator[Sleep]:
    """Power on, and again after each hibernation, each to a swap of its own from vdc on.

    The guest tells when a way begins and when it is back; another process of it may say meanwhile
    that it is `alive`. Raises MachineError if the machine does not hibernate, or not come back.
    """
    with machine.start(LIMIT_SECONDS) as running:
        before, saved = _until_off(running, ways[0])
    for nth, (way, following) in enumerate(zip(ways, [*ways[1:], None], strict=True)):
        stored = machine.disks[2 + nth].stat().st_blocks * 512
        resume = f"{machine.append} resume=/dev/vd{chr(ord(FIRST_SWAP) + nth)} way={way}"
        log = machine.log.with_name(f"{machine.log.stem}-{nth + 1}.log")
        with replace(machine, append=resume, log=log).start(LIMIT_SECONDS) as running:
            returned = rf"returned way={way} code=0"
            running.wait_report(f"^(alive|{returned})")
            answered = running.seconds
            running.wait_report(f"^{returned}")
            power_on = running.seconds
            after, then = _until_off(running, following)
        yield Sleep(way, before, after, saved, answered, power_on, stored)
        before, saved = after, then


def _until_off(running: RunningMachine, way: str | None) -> tuple[Result, float]:
    """Wait until the machine is off; return how long it took to hibernate this way, if it did."""
    if way:
        running.wait_report(rf"^hibernating way={way}\b")
    begun = running.seconds
    result = running.wait()
    if (result.status is None) != bool(way):
        raise MachineError(f"{running.machine.log}: no hibernation by {way}: {result.report}")
    return result, running.seconds - begun


def live(machine: Machine, ways: Sequence[str]) -> dict[str, Warming]:
    """Return what each way comes to; raises MachineError as sleeps does."""
    return {sleep.way: _warming(sleep) for sleep in sleeps(machine, ways)}


def _warming(sleep: Sleep) -> Warming:
    before, after = sleep.before, sleep.after
    words: dict[str, str] = {}
    for line in [*before.report, *after.report]:
        if f" way={sleep.way} " in line:
            words |= dict(word.split("=", 1) for word in line.split() if "=" in word)
    replays = [line for line in after.report if line.startswith("replay ")]
    recorded = re.findall(_RECORDED, before.console)

    def pages(what: str) -> tuple[int, ...]:
        return tuple(int(words[f"{what}-{when}"]) for when in ("before", "first", "again"))

    return Warming(
        int(words["used-before"]),
        pages("files"),
        pages("anon"),
        float(words["worked"]),
        float(words["settled"]),
        int(words["swapped-out"]),
        words["differs"] == "0",
        float(recorded[-1]) if recorded else None,
        sleep.saved,
        sleep.power_on,
        json.loads(replays[0].removeprefix("replay ")) if replays else {},
    )
