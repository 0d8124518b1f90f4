"""What the writer puts into an image besides the snapshot."""

import os
from pathlib import Path

import pytest

from format import records
from format.facts import MachineFacts
from format.guard import GuardEntry, Method, parse_guard
from format.reader import ImageReader
from guard.take import Guarded
from hibernate import capture
from hibernate.capture import hibernate
from hibernate.plan import Plan
from hibernate.power_off import Mode
from store.identity import these_facts
from store.image import open_image
from tests.unit.conftest import SwapFile
from tests.unit.fake_snapshot import FakeSnapshot, PoweredOff

STREAM = b"".join(bytes([n % 251]) * 2048 + os.urandom(2048) for n in range(700))


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> FakeSnapshot:
    fake = FakeSnapshot(STREAM, swap_pages=[*range(10, 400, 3), *range(401, 2000)])
    monkeypatch.setattr(capture, "open_snapshot", fake.open)
    return fake


@pytest.fixture
def path(swap_file: SwapFile) -> Path:
    return swap_file(2000)


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

    monkeypatch.setattr(capture, "power_off", off)
    with pytest.raises(PoweredOff):
        hibernate(Plan(str(path), Mode.PLATFORM), lambda _: None)
    assert frozen == [True]
    guard, facts = tables
    assert parse_guard(guard or b"") == [entry]
    assert MachineFacts.parse(facts or b"") == these_facts()
