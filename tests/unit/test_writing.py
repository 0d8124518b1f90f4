"""What the writer puts into an image, and the reading back of it before it is marked."""

import os
import re
from pathlib import Path
from typing import IO

import pytest

from errors import DamagedError
from format import records
from format.layout import CHUNK_HEADER_SIZE
from format.mark import Mark
from format.reader import ImageReader
from format.tables import Guard, GuardEntry, MachineFacts, Method
from guard.take import Guarded
from hibernate import sequence
from hibernate.plan import Plan
from hibernate.power_off import Mode
from hibernate.sequence import hibernate
from hibernate.writing import Writing
from linux import PAGE_SIZE
from linux.kmsg import Log
from linux.snapshot import SnapshotDevice
from store.header import read_header
from store.identity import these_facts
from store.image import open_image
from tests.unit.conftest import SwapFile
from tests.unit.fake_snapshot import FakeSnapshot, PoweredOff

STREAM = b"".join(bytes([n % 251]) * 2048 + os.urandom(2048) for n in range(700))


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> FakeSnapshot:
    fake = FakeSnapshot(STREAM, swap_pages=[*range(10, 400, 3), *range(401, 2000)])
    monkeypatch.setattr(sequence, "open_snapshot", fake.open)
    return fake


@pytest.fixture
def path(swap_file: SwapFile) -> Path:
    return swap_file(2000)


def plan(path: Path, *, verify: bool) -> Plan:
    return Plan(str(path), Mode.PLATFORM, verify=verify)


@pytest.fixture
def off(monkeypatch: pytest.MonkeyPatch) -> None:
    def off(*_: object) -> None:
        raise PoweredOff

    monkeypatch.setattr(sequence, "power_off", off)


@pytest.mark.usefixtures("off")
def test_image_is_read_back_before_it_is_marked(device: FakeSnapshot, path: Path) -> None:
    said: list[str] = []
    with pytest.raises(PoweredOff):
        hibernate(plan(path, verify=True), said.append)
    phases = [line for line in said if "read back" in line or line == "marking"]
    assert re.fullmatch(r"\d MiB read back in \d+\.\d s", phases[0])
    assert phases[1] == "marking"


@pytest.mark.usefixtures("off")
@pytest.mark.parametrize("nth", [0, 1, -1], ids=["stream", "guard", "facts"])
def test_what_the_device_gives_back_wrong_is_never_marked(
    nth: int, device: FakeSnapshot, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bit of the last chunk of each section is wrong on the device once all is written."""
    before = path.read_bytes()[:PAGE_SIZE]
    really = Writing.write

    def write(self: Writing, snapshot: SnapshotDevice, guard: list[GuardEntry], log: Log) -> Mark:
        mark = really(self, snapshot, guard, log)
        with path.open("r+b") as file:
            source = read_header(file.fileno(), str(path)).source(mark)
            image = ImageReader(source)
            section = image.index.sections[nth]
            last = section.first_chunk + section.chunk_count - 1
            at = image.index.offsets[last] + CHUNK_HEADER_SIZE
            page, within = divmod(at, PAGE_SIZE)
            pages = [p for start, count in source.extents for p in range(start, start + count)]
            flip(file, pages[page] * PAGE_SIZE + within)
        return mark

    monkeypatch.setattr(Writing, "write", write)
    with pytest.raises(DamagedError, match="wrong checksum"):
        hibernate(plan(path, verify=True), lambda _: None)
    assert path.read_bytes()[:PAGE_SIZE] == before
    assert device.calls[-4:-1] == ["free_swap_pages", "free", "unfreeze"]
    device.at = 0
    with pytest.raises(PoweredOff):
        hibernate(plan(path, verify=False), lambda _: None)


def flip(file: IO[bytes], at: int) -> None:
    file.seek(at)
    byte = file.read(1)[0]
    file.seek(at)
    file.write(bytes([byte ^ 1]))
    file.flush()


def test_image_has_guard_and_facts(
    device: FakeSnapshot, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = GuardEntry(Method.EXT, bytes(16), 1 << 30, bytes(32), "ext4", "/dev/vda", "", "/")
    frozen: list[bool] = []

    def entries(_self: Guarded) -> list[GuardEntry]:
        frozen.append(device.frozen and not device.ready)
        return [entry]

    monkeypatch.setattr(Guarded, "entries", entries)
    tables: list[bytes | None] = []

    def off(*_: object) -> None:
        with open_image(str(path)) as source:
            image = ImageReader(source)
            tables.extend(image.table(kind) for kind in (records.GUARD, records.MACHINE_FACTS))
        raise PoweredOff

    monkeypatch.setattr(sequence, "power_off", off)
    with pytest.raises(PoweredOff):
        hibernate(plan(path, verify=False), lambda _: None)
    assert frozen == [True]
    guard, facts = tables
    assert Guard.parse(guard or b"") == [entry]
    assert MachineFacts.parse(facts or b"") == these_facts()
