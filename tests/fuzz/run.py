"""Tries changed specimens: `python -m tests.fuzz.run SEED COUNT FOLDER MEBIBYTES` prints JSON.

They are images and marks that mutate.py changes at random, most with right checksums again.

Each goes through `torpor verify`, inspect and unpack, through the resumer's dry run and, where it
is a device, through the resumer itself with a /dev/snapshot in memory; a working set as changed
through `torpor workingset replay`. A count for each exit code; "surprises" are what is no
TorporError, or has an exit code that such an image cannot have.
"""

import argparse
import json
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

import resume.__main__ as resumer
from errors import TorporError
from format import reader
from format.tables import MachineFacts
from guard.compare import compare
from linux import tasks
from resume import check, find, images, request, restore, wait
from state import working_set
from store.header import read_header
from store.identity import owner_of
from tests.forge import PAGE
from tests.fuzz.disks import DISKS
from tests.fuzz.mutate import case, specimens, working_set_case
from tests.sources import IDENTITY, limit_memory, opened
from tests.unit.fake_root import Disks
from tests.unit.fake_snapshot import FakeSnapshot, Restored
from tests.vectors.devices import STREAM
from tests.vectors.images import FACTS
from torpor.commands import inspect, unpack, verify, workingset

FILE_CODES = frozenset({0, 3, 4, 5})
BOOT_CODES = FILE_CODES | {11, 12, 19, 20}
KINDS = specimens()
CODES = {
    "verify": FILE_CODES,
    "inspect": FILE_CODES,
    "unpack": FILE_CODES,
    "dry run": BOOT_CODES,
    "resume": BOOT_CODES | {13},
    "replay": FILE_CODES,
}


@dataclass(slots=True)
class Stats:
    """What came of the cases."""

    outcomes: dict[str, Counter[int]] = field(
        default_factory=lambda: {name: Counter() for name in CODES}
    )
    surprises: list[str] = field(default_factory=list)
    slowest: float = 0.0
    """Seconds of the processor."""

    def attempt(self, number: int, name: str, program: Callable[[], None]) -> None:
        """Run one program on case `number` and count how it ends."""
        began = time.process_time()
        code, said = 0, ""
        try:
            with suppress(Restored):
                program()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            code = error.exit_code if isinstance(error, TorporError) else 1
            said = traceback.format_exc()
        if code not in CODES[name]:
            self.surprises.append(f"case {number}, {name}, exit code {code}:\n{said}")
        self.outcomes[name][code] += 1
        self.slowest = max(self.slowest, time.process_time() - began)


def _prepare(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Make this process the machine of the specimens, in an initramfs, with their disks.

    Chunks are decoded without threads, which would take nine tenths of the time.
    """
    disks = Disks(folder)
    for method, data in DISKS.items():
        disks.add(f"vda{method}", data)
    facts = MachineFacts.parse(FACTS)
    patch.setattr(images, "compare", partial(compare, root=disks))
    patch.setattr(check, "this_machine", lambda _machine_id: IDENTITY)
    patch.setattr(check, "these_facts", lambda: facts)
    patch.setattr(wait, "find_devices", lambda spec: [spec])
    patch.setattr(find, "is_external", lambda _path: False)
    patch.setattr(request, "read_location", lambda: None)
    patch.setattr(reader, "in_order", lambda jobs, **_: (job() for job in jobs))
    patch.setattr(os, "sync", _ignore)
    patch.setattr(os, "fsync", _ignore)
    patch.setattr(tasks, "be_idle", lambda: None)
    patch.setattr(working_set, "REPLAY_PATH", str(folder / "replay.json"))
    patch.setattr(restore, "open_snapshot", lambda flags: FakeSnapshot(STREAM).open(flags))


def _ignore(*_: object) -> None:
    """Take a report."""


def _resume(words: str, path: Path) -> None:
    asked = request.Request(words)
    try:
        raise resumer.resume(asked, wait.Waiting(asked, _ignore), _ignore).error
    except TorporError as error:
        _check_left_behind(error, path)
        raise


def _check_left_behind(error: TorporError, path: Path) -> None:
    """An image that is not restored is gone, unless another boot may restore it.

    What is another store's by its mark, or another system's, is left alone.
    """
    with opened(path) as fd:
        if path.stat().st_size >= PAGE:
            header = read_header(fd, "it")
            is_anothers = not header.is_in_place() or bool(owner_of(header, IDENTITY.machine_id))
            stays = error.exit_code in (11, 12) or is_anothers
            assert not header.holds_image() or stays
            assert header.holds_image() or error.exit_code not in (11, 12)


def _try(number: int, stats: Stats, folder: Path) -> None:
    data, specimen = case(number, KINDS)
    path = folder / "case"
    path.write_bytes(data)
    words = f"resume={path} torpor.timeout=0"
    arguments = argparse.Namespace(image=str(path), file=str(path), stream=os.devnull, json=False)
    for name, command in (("verify", verify), ("inspect", inspect), ("unpack", unpack)):
        stats.attempt(number, name, partial(command.run, arguments))
    stats.attempt(number, "dry run", lambda: resumer.rehearse(words, _ignore))
    if specimen.is_device:
        stats.attempt(number, "resume", lambda: _resume(words, path))
    path.write_bytes(working_set_case(number))
    replay = argparse.Namespace(action="replay", file=str(path), no_paths=False)
    stats.attempt(number, "replay", partial(workingset.run, replay))


def _try_all(numbers: range, folder: Path) -> Stats:
    stats = Stats()
    for number in numbers:
        _try(number, stats, folder)
    return stats


def main(seed: int, count: int, folder: Path, mebibytes: int) -> None:
    """Try `count` cases from number `seed` on; the folder is for their files.

    `mebibytes` is what the process may get beyond what it has before the first one.
    """
    _prepare(pytest.MonkeyPatch(), folder)
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        _try_all(range(50), folder)
        limit_memory(mebibytes)
        stats = _try_all(range(seed, seed + count), folder)
    surprises = stats.surprises[:10]
    told = {"outcomes": stats.outcomes, "surprises": surprises, "slowest": stats.slowest}
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
