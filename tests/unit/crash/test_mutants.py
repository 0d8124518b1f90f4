"""What test_every_crash.py is worth: each step that is left out or misplaced is found."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from format.first_page import SIGNATURE_OFFSET, USER_IMAGE, empty_store
from format.first_page import SWAP as SWAP_SIGNATURE
from format.layout import MARK_SIZE
from format.mark import Mark
from resume import unsealing
from seal.opening import Opening
from store import blocks, file_store, header
from store.header import StoreHeader
from store.protocol import Slot, nothing
from tests.forge import PAGE
from tests.unit.booting import Boot
from tests.unit.crash.cuts import FEW, SHORT
from tests.unit.crash.explore import Explorer
from tests.unit.crash.machine import COLD, Machine, State, Trace
from tests.unit.crash.sealed import SLOTS, SealedMachine
from tests.unit.crash.stores import KINDS, Kind
from tests.unit.crash.test_every_crash import make, with_mark_left

Patch = pytest.MonkeyPatch
SWAP, DEVICE, FILE = KINDS


def saved(machine: Machine) -> Iterator[Trace]:
    yield machine.save(machine.fresh(), "first")


def undone(machine: Machine) -> Iterator[Trace]:
    yield machine.save(machine.fresh(), "first", stays_on=True)


def killed(machine: Machine) -> Iterator[Trace]:
    steps = machine.save(machine.fresh(), "first", stays_on=True).steps
    for step in range(steps - 3, steps + 1):
        yield machine.save_killed(machine.fresh(), "first", step)


def over_an_image(machine: Machine) -> Iterator[Trace]:
    kept = machine.save(machine.fresh(), "first").after
    yield machine.save(State(kept.disks, frozenset({COLD, "first"})), "second")


def made(machine: Machine) -> Iterator[Trace]:
    left = with_mark_left(machine, machine.save(machine.fresh(), "first").after)
    yield machine.do(left, partial(make, machine))


def no_flush_of_the_image(patch: Patch) -> None:
    patch.setattr(blocks, "sync", lambda *_: None)


def no_flush_of_the_first_page(patch: Patch) -> None:
    patch.setattr(header, "sync", lambda *_: None)


def mark_and_signature_at_once(patch: Patch) -> None:
    def set_mark(slot: StoreHeader, mark: Mark) -> None:
        slot.data[SIGNATURE_OFFSET:] = USER_IMAGE
        slot.data[header._MARK] = mark.build()
        slot._write()

    patch.setattr(StoreHeader, "set_mark", set_mark)


def mark_cleared_before_the_signature(patch: Patch) -> None:
    def clear(slot: StoreHeader) -> None:
        slot.data[header._MARK] = bytes(MARK_SIZE)
        slot._write()
        slot.data[SIGNATURE_OFFSET:] = SWAP_SIGNATURE
        slot._write()

    patch.setattr(StoreHeader, "clear", clear)


def no_claim(patch: Patch) -> None:
    patch.setattr(Slot, "claim", lambda _slot: None)


def nothing_cleared(patch: Patch) -> None:
    patch.setattr(StoreHeader, "clear", lambda _slot: None)


def what_is_cached_believed(patch: Patch) -> None:
    def written_mark(slot: StoreHeader) -> Mark | None:
        slot.data[:] = os.pread(slot.fd, PAGE, slot.page * PAGE)
        return Mark.parse(slot.data)

    patch.setattr(StoreHeader, "written_mark", written_mark)


def store_made_at_once(patch: Patch) -> None:
    def new_store_header(fd: int, name: str, pages: int, page: int) -> UUID:
        store_uuid = uuid4()
        blocks.write_pages(fd, name, page, memoryview(empty_store(pages, store_uuid.bytes)))
        blocks.sync(fd, name)
        return store_uuid

    patch.setattr(file_store, "new_store_header", new_store_header)


def claim_wipes_nothing(patch: Patch) -> None:
    patch.setattr(Slot, "_wipe", lambda *_: None)


def wiped_before_the_claim(patch: Patch) -> None:
    claim = Slot.claim

    def wipe_first(slot: StoreHeader) -> None:
        mark = slot.mark()
        assert mark
        superblock = bytes(slot.superblock(mark))
        slot._wipe(mark, superblock)
        claim(slot)

    patch.setattr(Slot, "claim", wipe_first)


def counted_after_the_claim(patch: Patch) -> None:
    claim = Slot.claim

    def count_last(slot: StoreHeader) -> None:
        spend, slot.spend = slot.spend, nothing
        claim(slot)
        spend()

    patch.setattr(Slot, "claim", count_last)


def never_counted(patch: Patch) -> None:
    patch.setattr(Opening, "count", lambda *_: None)


def discard_wipes_nothing(patch: Patch) -> None:
    patch.setattr(Slot, "discard", lambda slot: slot.clear())


def torn_superblock_is_nobodys(patch: Patch) -> None:
    patch.setattr(unsealing, "without_recipients", lambda page, _uuid: page)


@dataclass(frozen=True, slots=True)
class Mutant:
    change: Callable[[Patch], None]
    kind: Kind
    traces: Callable[[Machine], Iterable[Trace]]
    found: str


# On swap the flush between mark and signature is one of the image, too.
MUTANTS = [
    Mutant(no_flush_of_the_image, DEVICE, saved, "verify"),
    Mutant(no_flush_of_the_first_page, DEVICE, saved, "ended so: cold"),
    Mutant(no_flush_of_the_first_page, FILE, undone, "ended so: cold"),
    Mutant(mark_and_signature_at_once, SWAP, saved, "the signature"),
    Mutant(mark_cleared_before_the_signature, SWAP, saved, "the signature"),
    Mutant(no_claim, SWAP, saved, "ended so: first"),
    Mutant(nothing_cleared, DEVICE, over_an_image, "a mark is left"),
    Mutant(nothing_cleared, FILE, undone, "a mark is left"),
    Mutant(what_is_cached_believed, DEVICE, killed, "ended so: first"),
    Mutant(store_made_at_once, FILE, made, "ended so: first"),
]


@pytest.mark.parametrize(
    "mutant", MUTANTS, ids=lambda one: f"{one.change.__name__}-{one.kind.name}"
)
def test_mutant_is_found(mutant: Mutant, tmp_path: Path, boot: Boot, monkeypatch: Patch) -> None:
    machine = Machine(mutant.kind, tmp_path, boot, monkeypatch)
    mutant.change(monkeypatch)
    explorer = Explorer(machine, SHORT)
    explore = explorer.explore_boots if mutant.traces is made else explorer.explore
    with pytest.raises(AssertionError, match=mutant.found):
        explore(mutant.traces(machine))
    machine.close()


# Some are noticed when the kernel is asked to become the image, others by what a cut leaves.
SEALED_MUTANTS = [
    Mutant(claim_wipes_nothing, SWAP, saved, "the key can be had"),
    Mutant(discard_wipes_nothing, DEVICE, saved, "the key can be had"),
    Mutant(wiped_before_the_claim, SWAP, saved, "ended so: cold"),
    Mutant(counted_after_the_claim, SWAP, saved, "not counted"),
    Mutant(never_counted, SWAP, saved, "not counted"),
    Mutant(torn_superblock_is_nobodys, SWAP, saved, "a mark is left"),
]


@pytest.mark.parametrize("mutant", SEALED_MUTANTS, ids=lambda one: one.change.__name__)
def test_mutant_of_sealing_is_found(
    mutant: Mutant, tmp_path: Path, boot: Boot, monkeypatch: Patch
) -> None:
    machine = SealedMachine(SLOTS["tpm2"], mutant.kind, tmp_path, boot, monkeypatch)
    mutant.change(monkeypatch)
    with pytest.raises(AssertionError, match=mutant.found):
        Explorer(machine, FEW).explore(mutant.traces(machine))
    machine.close()
