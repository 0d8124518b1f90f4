"""The power is cut at any instant: the machine resumes or boots cold, and loses nothing.

What was not flushed is lost with the power, in part (vm/lossy.py). The instants come from --seed,
which a run prints; how fast the host is does the rest, so that no run repeats another exactly.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random

import pytest

from tests.conftest import ENDED
from tests.vm.conftest import MEMORY_MIB, MEMORY_WITHOUT_SWAP_MIB, SWAP_MIB, Nursery, Recorder
from tests.vm.cuts import LIMIT_SECONDS, MOST_LOADS, Instant, Life, Mortal
from vm.disks import blank_disk, copy_disks, swap_disk
from vm.machine import Machine

pytestmark = pytest.mark.vm

CUTS = [
    pytest.param(store, number, marks=[pytest.mark.long] if number >= short else [])
    for store, short, long in (("swap", 1, 20), ("store", 0, 12))
    for number in range(long)
]
"""Of each kind: one of saving and one of loading always, 64 in all with --long."""
SAVE_STEPS, LOAD_STEPS = 4, 8
"""How many steps on the first page: setting the mark; loading, claiming and clearing it."""
BY_STEP = 0.4
AGAIN = 0.4
SAVING, LOADING = "^before ", "^resumer-start "


@dataclass(frozen=True, slots=True)
class Template:
    """A machine before it hibernates and after, and how many seconds it takes to its end."""

    fresh: Machine
    hibernated: Machine
    first: Life
    saving: float
    loading: float


Templates = Callable[[str], Template]


@pytest.fixture(scope="session")
def templates(nursery: Nursery) -> Templates:
    """Make a machine with this kind of store, and let it hibernate and resume undisturbed."""
    made: dict[str, Template] = {}

    def get(store: str) -> Template:
        if store not in made:
            made[store] = make_template(store, nursery)
        return made[store]

    return get


def make_template(store: str, nursery: Nursery) -> Template:
    disk = blank_disk(nursery.folder(f"cuts-{store}") / "store.img", SWAP_MIB)
    resume, memory = "/dev/vdb", MEMORY_WITHOUT_SWAP_MIB
    if store == "swap":
        resume, memory = f"UUID={swap_disk(disk, SWAP_MIB)}", MEMORY_MIB
    append = f"resume={resume} store={store}"
    fresh = replace(nursery.machine(f"cuts-{store}", "6.1", append, disk), memory=memory)
    saved = mortal(fresh, nursery.folder(f"{store}-saved"), Random(0))
    first = saved.live("cuts", Instant(SAVING, LIMIT_SECONDS))
    assert first.leaves_image, first.result.console[-4000:]
    loaded = mortal(saved.machine, nursery.folder(f"{store}-loaded"), Random(0), first)
    second = loaded.live("cold", Instant(LOADING, LIMIT_SECONDS))
    assert loaded.check() == "resumed, with nonce"
    return Template(fresh, saved.machine, first, first.seconds, second.seconds)


def mortal(machine: Machine, folder: Path, chance: Random, *lives: Life) -> Mortal:
    """Return a machine on copies of the disks, after these lives."""
    copied = replace(machine, disks=copy_disks(machine.disks, folder))
    return Mortal(copied, folder, chance, list(lives))


def some_instant(pattern: str, seconds: float, steps: int, chance: Random) -> Instant:
    if chance.random() < BY_STEP:
        return Instant(pattern, step=chance.randint(1, steps))
    return Instant(pattern, chance.uniform(0, seconds))


def cut_loads(machine: Mortal, template: Template, least: int) -> list[Instant]:
    """Cut the power in so many boots at least while there is an image to load."""
    cuts: list[Instant] = []
    while machine.lives[-1].leaves_image and len(cuts) < MOST_LOADS:
        if len(cuts) >= least and machine.chance.random() > AGAIN:
            break
        instant = some_instant(LOADING, template.loading, LOAD_STEPS, machine.chance)
        cuts.append(instant)
        if not machine.live("cold", instant).is_cut:
            break
    return cuts


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    number: int = request.config.option.seed
    return number


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of a machine, in words, and how often its power was cut."""

    what: str
    store: str
    when: str
    ended: str
    cuts: int

    @property
    def row(self) -> tuple[str, ...]:
        return self.what, self.store, self.when, self.ended


def outcome(machine: Mortal, whens: Sequence[Instant]) -> tuple[str, str]:
    """Let the machine live to its end; return when it was cut and how it ended, in words."""
    if machine.lives[-1].is_cut or machine.lives[-1].leaves_image:
        machine.live("cold")
    ended = machine.check()
    states = [life.state for life in machine.lives if life.is_cut]
    return ", ".join(map(str, whens)) or "-", f"{' → '.join(states) or 'not cut'}: {ended}"


def cut_off(what: str, store: str, template: Template, chance: Random, folder: Path) -> Ended:
    """Cut the power while saving, and perhaps while loading; or while loading only."""
    if what == "saving":
        machine = mortal(template.fresh, folder, chance)
        cuts = [some_instant(SAVING, template.saving, SAVE_STEPS, chance)]
        machine.live("cuts", cuts[0])
        cuts += cut_loads(machine, template, 0)
    else:
        machine = mortal(template.hibernated, folder, chance, template.first)
        cuts = cut_loads(machine, template, 1)
    words = outcome(machine, cuts)
    return Ended(what, store, *words, sum(life.is_cut for life in machine.lives))


@pytest.mark.parametrize("what", ["saving", "loading"])
@pytest.mark.parametrize(("store", "number"), CUTS)
def test_cut(
    what: str,
    store: str,
    number: int,
    seed: int,
    templates: Templates,
    tmp_path: Path,
    record_property: Recorder,
) -> None:
    chance = Random(f"{seed} {what} {store} {number}")
    ended = cut_off(what, store, templates(store), chance, tmp_path)
    record_property(ENDED, ended.row)


@pytest.mark.long
def test_cuts_of_many_runs(
    request: pytest.FixtureRequest, seed: int, templates: Templates, tmp_path: Path
) -> None:
    """With --cuts: a run that is stopped loses no more than one machine, the next one goes on."""
    option = request.config.option
    if not option.cuts:
        pytest.skip("--cuts says how often the power is to be cut")
    for ended in cut_on(option.cuts_file, option.cuts, seed, templates, tmp_path):
        request.node.user_properties.append((ENDED, ended.row))


def cut_on(file: Path, most: int, seed: int, templates: Templates, folder: Path) -> list[Ended]:
    """Cut the power until that was done so often in all; return what came of each machine.

    The file holds those of earlier runs, and gets each one at once.
    """
    lines = file.read_text().splitlines() if file.exists() else []
    kept = [Ended(**json.loads(line)) for line in lines]
    while sum(ended.cuts for ended in kept) < most:
        chance = Random(f"{seed} {len(kept)}")
        what, store = chance.choice(["saving", "loading"]), chance.choice(["swap", "store"])
        place = folder / str(len(kept))
        place.mkdir()
        kept.append(cut_off(what, store, templates(store), chance, place))
        with file.open("a") as out:
            out.write(f"{json.dumps(asdict(kept[-1]))}\n")
        shutil.rmtree(place)
    return kept
