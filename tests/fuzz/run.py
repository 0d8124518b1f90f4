"""Tries changed specimens: `python -m tests.fuzz.run SEED COUNT FOLDER MEBIBYTES` prints JSON.

They are images and marks that mutate.py changes at random, most with right checksums again.

Each goes through `torpor verify`, inspect and unpack, some with --identity, too; through the
resumer's dry run and, where it is a device, through the resumer itself with a /dev/snapshot in
memory; a working set as changed through `torpor workingset replay`. A count for each exit code;
"surprises" are what is no TorporError, or has an exit code that such an image cannot have.
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
from format.records import Superblock
from format.tables import MachineFacts
from guard.compare import compare
from linux import tasks
from resume import check, find, images, request, restore, wait
from resume.report import Report
from resume.unsealing import Unsealing
from seal.opening import Nobody, Opening
from state import working_set
from state.sealing import Trust
from store.header import StoreHeader, read_header
from store.identity import owner_of
from tests import forge_sealed
from tests.forge import PAGE
from tests.forge_sealed import signer_of
from tests.fuzz.disks import DISKS
from tests.fuzz.mutate import case, specimens, working_set_case
from tests.sources import IDENTITY, limit_memory, opened
from tests.unit.fake_root import Disks
from tests.unit.fake_snapshot import FakeSnapshot, Restored
from tests.vectors.build import IDENTITY as IDENTITY_FILE
from tests.vectors.devices import STREAM
from tests.vectors.images import FACTS
from torpor.commands import inspect, unpack, verify, workingset

FILE_CODES = frozenset({0, 3, 4, 5})
WITH_KEY = FILE_CODES | {23, 24}
BOOT_CODES = WITH_KEY | {11, 12, 19, 20, 22}
KEPT = frozenset({11, 12, 23})
"""Another boot may restore it."""
UNSEALING = 5
"""One of so many boots that find a sealed image does not know that there are such, and one of so
many other images is taken for a sealed one."""
KINDS = specimens()
CODES = {
    "verify": FILE_CODES | {22},
    "inspect": FILE_CODES,
    "unpack": FILE_CODES | {22},
    "key verify": WITH_KEY,
    "key unpack": WITH_KEY,
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
        code, found = 0, None
        try:
            with suppress(Restored):
                program()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            code = error.exit_code if isinstance(error, TorporError) else 1
            found = error
        if code not in CODES[name]:
            said = "".join(traceback.format_exception(found)) if found else ""
            self.surprises.append(f"case {number}, {name}, exit code {code}:\n{said}")
        self.outcomes[name][code] += 1
        self.slowest = max(self.slowest, time.process_time() - began)


class Boots:
    """Whether the next boot restores sealed images only, and the key file that it has then."""

    def __init__(self, folder: Path) -> None:
        self.is_sealing = False
        self._key_file = folder / "keyfile"
        page = b"TORPKEYF" + forge_sealed.STRANGER
        self._key_file.write_bytes(bytes(17 * PAGE) + page.ljust(PAGE, b"\0"))

    def unsealing(self, _waiting: wait.Waiting, _report: Report, *, asks: bool) -> Unsealing | None:
        """Stand in for the resumer's."""
        del asks
        if not self.is_sealing:
            return None
        return Unsealing(
            Trust(signer_of(forge_sealed.SEED)), Opening(Nobody(), self._find, lambda _line: None)
        )

    def _find(self, name: str) -> str | None:
        return str(self._key_file) if name == "UUID=1-2" else None


def _prepare(patch: pytest.MonkeyPatch, folder: Path) -> Boots:
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
    patch.setattr(reader, "in_order", lambda jobs, *_, **__: (job() for job in jobs))
    patch.setattr(os, "sync", _ignore)
    patch.setattr(os, "fsync", _ignore)
    patch.setattr(tasks, "be_idle", lambda: None)
    patch.setattr(working_set, "REPLAY_PATH", str(folder / "replay.json"))
    patch.setattr(restore, "open_snapshot", lambda flags: FakeSnapshot(STREAM).open(flags))
    boots = Boots(folder)
    patch.setattr(images, "_unsealing", boots.unsealing)
    return boots


def _ignore(*_: object) -> None:
    """Take a report."""


def _resume(words: str, path: Path, *, is_sealing: bool) -> None:
    asked = request.Request(words)
    try:
        raise resumer.resume(asked, wait.Waiting(asked, _ignore), _ignore).error
    except TorporError as error:
        _check_left_behind(error, path, is_sealing=is_sealing)
        raise


def _check_left_behind(error: TorporError, path: Path, *, is_sealing: bool) -> None:
    """An image that is not restored is gone, unless another boot may restore it.

    What is another store's by its mark, or another system's, is left alone; by a boot of a machine
    that seals, all that does not tell that this machine sealed it.
    """
    with opened(path) as fd:
        if path.stat().st_size >= PAGE:
            header = read_header(fd, "it")
            is_anothers = not header.is_in_place() or bool(owner_of(header, IDENTITY.machine_id))
            stays = error.exit_code in KEPT or is_anothers
            stays |= is_sealing and not _is_by_its_superblock_ours(header)
            assert not header.holds_image() or stays
            assert header.holds_image() or error.exit_code not in KEPT


def _is_by_its_superblock_ours(header: StoreHeader) -> bool:
    """Return whether a boot that seals may clear the mark, whoever has signed the image."""
    try:
        mark = header.mark()
        page = header.superblock(mark) if mark else b""
        superblock = Superblock.parse(page)
    except TorporError:
        return False
    is_one = mark is not None and superblock.image_uuid == mark.image_uuid
    return is_one and superblock.identity.machine_id == IDENTITY.machine_id


def _try(number: int, stats: Stats, folder: Path, boots: Boots) -> None:
    data, specimen = case(number, KINDS)
    path = folder / "case"
    _put(path, data)
    words = f"resume={path} torpor.timeout=0"
    commands = {"verify": verify, "inspect": inspect, "unpack": unpack}
    for name, command in commands.items():
        stats.attempt(number, name, partial(command.run, _arguments(path)))
    with_key = specimen.is_sealed or number % UNSEALING == 0
    for name in ("verify", "unpack") if with_key else ():
        arguments = _arguments(path, str(IDENTITY_FILE))
        stats.attempt(number, f"key {name}", partial(commands[name].run, arguments))
    boots.is_sealing = specimen.is_sealed and number % UNSEALING > 0
    stats.attempt(number, "dry run", lambda: resumer.rehearse(words, _ignore))
    if specimen.is_device:
        stats.attempt(number, "resume", partial(_resume, words, path, is_sealing=boots.is_sealing))
    _put(path, working_set_case(number))
    replay = argparse.Namespace(action="replay", file=str(path), no_paths=False)
    stats.attempt(number, "replay", partial(workingset.run, replay))


def _put(path: Path, data: bytes) -> None:
    """Write a new file: ext4 waits for the disk when one that was cut off to nothing is closed."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def _arguments(path: Path, identity: str | None = None) -> argparse.Namespace:
    named = {"image": str(path), "file": str(path), "stream": os.devnull}
    return argparse.Namespace(**named, json=False, identity=identity)


def _try_all(numbers: range, folder: Path, boots: Boots) -> Stats:
    stats = Stats()
    for number in numbers:
        _try(number, stats, folder, boots)
    return stats


def main(seed: int, count: int, folder: Path, mebibytes: int) -> None:
    """Try `count` cases from number `seed` on; the folder is for their files.

    `mebibytes` is what the process may get beyond what it has before the first one.
    """
    boots = _prepare(pytest.MonkeyPatch(), folder)
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        _try_all(range(50), folder, boots)
        limit_memory(mebibytes)
        stats = _try_all(range(seed, seed + count), folder, boots)
    surprises = stats.surprises[:10]
    told = {"outcomes": stats.outcomes, "surprises": surprises, "slowest": stats.slowest}
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
