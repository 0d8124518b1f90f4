"""Whatever a power cut leaves of what Torpor writes, a boot resumes or is cold as DESIGN.md says.

Never is an image restored twice, or one of a machine that went on; swap is swap again.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from format.first_page import MARK_OFFSET, SIGNATURE_OFFSET, SWAP, FirstPage
from format.layout import MARK_SIZE
from resume import images
from store import device
from store.device import make_store
from store.file_store import make_file_store
from store.header import StoreHeader
from tests.conftest import CRASHED
from tests.forge import PAGE, header_page
from tests.sources import opened
from tests.unit.booting import Boot
from tests.unit.crash.cuts import LONG, SHORT, Depth
from tests.unit.crash.explore import Explorer
from tests.unit.crash.machine import COLD, Machine, State, Trace
from tests.unit.crash.stores import KINDS, OTHERS, PAGES, Kind
from tests.unit.crash.trace import Fault

DEPTHS = [
    pytest.param(SHORT, id="short"),
    pytest.param(LONG, id="long", marks=pytest.mark.long),
]
Record = Callable[[str, object], None]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture
def machine(
    kind: Kind, tmp_path: Path, boot: Boot, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Machine]:
    made = Machine(kind, tmp_path, boot, monkeypatch)
    yield made
    made.close()


FAULTS = [(False, False), (False, True), (True, False), (True, True)]
"""Whether it stays, and whether it is done all the same."""


def saves(machine: Machine, state: State, name: str, last: int) -> Iterator[Trace]:
    """Save; the disk has a fault at each write and flush, the writer is killed after each.

    At each of the `last` steps, of which the data and its map come first.
    """
    whole = machine.save(state, name)
    assert whole.outcome == "off"
    yield whole
    yield machine.save(state, name, verify=True)
    undone = machine.save(state, name, stays_on=True)
    assert undone.outcome == "KernelRefusedError"
    yield undone
    for step in range(max(1, undone.steps - last), undone.steps + 1):
        for stays, is_done in FAULTS:
            yield machine.save(state, name, Fault(step, stays, is_done), stays_on=True)
        killed = machine.save_killed(state, name, step)
        assert killed.outcome == "killed"
        yield killed


def faulty_boots(machine: Machine, state: State) -> Iterator[Trace]:
    """Boot with the fault of a disk at each write and flush."""
    for refuse in ("", "freeze", "atomic_restore"):
        for step in range(1, machine.boot(state, refuse=refuse).steps + 1):
            for stays, is_done in FAULTS:
                yield machine.boot(state, refuse=refuse, fault=Fault(step, stays, is_done))


def tell(record: Record, kind: Kind, what: str, explorer: Explorer) -> None:
    cold = explorer.outcomes[COLD]
    resumed = explorer.outcomes.total() - cold
    record(CRASHED, (what, kind.name, *map(str, (explorer.cuts, resumed + cold, resumed, cold))))


@pytest.mark.parametrize("depth", DEPTHS)
def test_saving(depth: Depth, machine: Machine, kind: Kind, record_property: Record) -> None:
    """And all boots and discards after it, cut off in their turn."""
    explorer = Explorer(machine, depth)
    explorer.explore(saves(machine, machine.fresh(), "first", 99 if depth is LONG else 5))
    tell(record_property, kind, "save", explorer)
    assert explorer.outcomes["first"] > 5


@pytest.mark.parametrize("depth", DEPTHS)
def test_saving_again(depth: Depth, machine: Machine, kind: Kind, record_property: Record) -> None:
    """On what an earlier image, discarded, restored or cut off, has left in the first page."""
    before = Explorer(machine, SHORT)
    before.explore([machine.save(machine.fresh(), "first")])
    left = [*before.cold.values()]
    explorer = Explorer(machine, depth)
    for state in left if depth is LONG else left[-1:]:
        explorer.explore([machine.save(state, "second")])
    assert set(explorer.outcomes) == {COLD, "second"}
    tell(record_property, kind, "save again", explorer)


@pytest.mark.parametrize("depth", DEPTHS)
def test_saving_over_an_image(
    depth: Depth, machine: Machine, kind: Kind, record_property: Record
) -> None:
    """One that a boot kept, and with it the machine goes on: so a store may, active swap cannot."""
    if kind.name == "swap":
        pytest.skip("swap with an image is not in use")
    kept = machine.save(machine.fresh(), "first").after
    explorer = Explorer(machine, depth)
    explorer.explore([machine.save(State(kept.disks, frozenset({COLD, "first"})), "second")])
    assert set(explorer.outcomes) == {COLD, "first", "second"}
    tell(record_property, kind, "save over an image", explorer)


@pytest.mark.parametrize("depth", DEPTHS)
def test_loading_from_a_faulty_disk(
    depth: Depth, machine: Machine, kind: Kind, record_property: Record
) -> None:
    explorer = Explorer(machine, depth)
    explorer.explore(faulty_boots(machine, machine.save(machine.fresh(), "first").after))
    tell(record_property, kind, "load, faulty disk", explorer)
    assert explorer.outcomes["first"]


def with_mark_left(machine: Machine, saved: State) -> State:
    """Return a machine whose disk was swap with an image until swapon put the signature back."""
    (disk, *memory), page = saved.disks, machine.kind.page
    mark = machine.kind.first_of(disk)[MARK_OFFSET : MARK_OFFSET + MARK_SIZE]
    first = header_page(PAGES, mark)
    left = disk[: page * PAGE] + first + disk[(page + 1) * PAGE :]
    return State((left, *memory), frozenset({COLD}))


def wipefs(path: str) -> None:
    """Take the signature away as wipefs(8) does, which need not flush it."""
    with opened(path) as fd:
        os.pwritev(fd, [bytes(len(SWAP))], SIGNATURE_OFFSET)


def make(machine: Machine) -> str:
    """Make a store where there may be anything."""
    machine.expect(COLD, *machine.expected)
    if machine.kind.page:
        file = machine.kind.path(machine.paths[0])
        file.unlink()
        make_file_store(str(file), PAGE * PAGES)
    else:
        make_store(str(machine.paths[0]), StoreHeader.discard, force=True)
    machine.expect(COLD)
    return ""


@pytest.mark.parametrize("there", ["nothing", "an image", "a mark", "others"])
@pytest.mark.parametrize("kind", KINDS[1:], ids=lambda kind: kind.name)
def test_making_a_store(
    kind: Kind,
    there: str,
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Record,
) -> None:
    """No image that was there before comes alive; one that was alive may stay until it is made."""
    monkeypatch.setattr(device, "_wipe", wipefs)
    saved = machine.save(machine.fresh(), "first").after
    state = {
        "nothing": State((bytes(PAGES * PAGE),), frozenset({COLD})),
        "an image": State(saved.disks, frozenset({COLD, "first"})),
        "a mark": with_mark_left(machine, saved),
        "others": State((OTHERS * PAGES,), frozenset({COLD})),
    }[there]
    trace = machine.do(state, partial(make, machine))
    assert FirstPage(kind.first_of(trace.after.disks[0])).is_store
    explorer = Explorer(machine, LONG)
    explorer.explore_boots([trace])
    tell(record_property, kind, f"mkstore, {there}", explorer)


def boots_beside_an_older_image(folder: Path, boot: Boot, patch: pytest.MonkeyPatch) -> Explorer:
    """Try all that can come of a boot on two disks with an image each."""
    machine = Machine(KINDS[1], folder, boot, patch, disks=2)
    machine.store = 1
    older = machine.save(machine.fresh(), "second").after
    machine.store = 0
    patch.setattr(time, "time_ns", lambda: 10**18)
    both = machine.save(State(older.disks, frozenset({COLD})), "first").after
    explorer = Explorer(machine, LONG)
    with closing(machine):
        explorer.explore_boots(
            machine.boot(both, refuse=refuse) for refuse in ("", "freeze", "atomic_restore")
        )
    return explorer


def test_older_image_is_gone_before_the_other_one_is_restored(
    tmp_path: Path, boot: Boot, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    explorer = boots_beside_an_older_image(tmp_path, boot, monkeypatch)
    assert set(explorer.outcomes) == {COLD, "first"}
    tell(record_property, KINDS[1], "load, two images", explorer)


def test_older_image_that_stays_is_noticed(
    tmp_path: Path, boot: Boot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "_discard_others", lambda *_: None)
    with pytest.raises(AssertionError, match="ended so: second"):
        boots_beside_an_older_image(tmp_path, boot, monkeypatch)
