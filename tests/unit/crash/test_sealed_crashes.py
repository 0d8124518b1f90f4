"""As test_every_crash.py, of images that are sealed: a cut leaves no way to a key that is gone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.booting import Boot
from tests.unit.crash.cuts import FEW, LONG, Depth
from tests.unit.crash.explore import Explorer
from tests.unit.crash.machine import COLD, State
from tests.unit.crash.sealed import SLOTS, SealedMachine
from tests.unit.crash.stores import KINDS, Kind
from tests.unit.crash.test_every_crash import Record, faulty_boots, saves, tell

SWAP, DEVICE, FILE = KINDS
DEPTHS = [
    pytest.param(FEW, id="short"),
    pytest.param(LONG, id="long", marks=pytest.mark.long),
]
SOME = [(SWAP, "tpm2"), (FILE, "key file")]
"""Enough for each run; the others with --long."""


def _machines() -> Iterator[object]:
    for kind in KINDS:
        for key in SLOTS:
            marks = [] if (kind, key) in SOME else [pytest.mark.long]
            yield pytest.param((kind, key), id=f"{kind.name}-{key}", marks=marks)


@pytest.fixture(params=_machines())
def machine(
    request: pytest.FixtureRequest, tmp_path: Path, boot: Boot, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SealedMachine]:
    kind: Kind = request.param[0]
    made = SealedMachine(SLOTS[request.param[1]], kind, tmp_path, boot, monkeypatch)
    yield made
    made.close()


@pytest.mark.parametrize("depth", DEPTHS)
def test_saving(depth: Depth, machine: SealedMachine, record_property: Record) -> None:
    explorer = Explorer(machine, depth)
    explorer.explore(saves(machine, machine.fresh(), "first", 99 if depth is LONG else 2))
    tell(record_property, machine.kind, "save sealed", explorer)
    assert explorer.outcomes["first"] > 5


@pytest.mark.long
@pytest.mark.parametrize("depth", [FEW, LONG], ids=["short", "long"])
def test_saving_over_an_image(
    depth: Depth, machine: SealedMachine, record_property: Record
) -> None:
    """A TPM counts the new one before the old one is gone: neither is restored then."""
    if machine.kind is SWAP:
        pytest.skip("swap with an image is not in use")
    kept = machine.save(machine.fresh(), "first").after
    explorer = Explorer(machine, depth)
    explorer.explore([machine.save(State(kept.disks, frozenset({COLD, "first"})), "second")])
    assert set(explorer.outcomes) == {COLD, "first", "second"}
    tell(record_property, machine.kind, "save over sealed", explorer)


@pytest.mark.parametrize("depth", DEPTHS)
def test_loading_from_a_faulty_disk(
    depth: Depth, machine: SealedMachine, record_property: Record
) -> None:
    """And with a TPM that does not say whether it has counted."""
    explorer = Explorer(machine, depth)
    explorer.explore(faulty_boots(machine, machine.save(machine.fresh(), "first").after))
    tell(record_property, machine.kind, "load sealed, faulty", explorer)
    assert explorer.outcomes["first"]
