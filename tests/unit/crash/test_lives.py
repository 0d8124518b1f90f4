"""The mark through any number of lives: what one leaves, cut off or not, the next one finds."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from format.first_page import SIGNATURE_OFFSET
from format.first_page import SWAP as SWAP_SIGNATURE
from tests.forge import PAGE
from tests.sources import opened
from tests.unit.booting import Boot
from tests.unit.crash.cuts import Depth
from tests.unit.crash.explore import Explorer
from tests.unit.crash.machine import COLD, STREAMS, Machine, State, Trace
from tests.unit.crash.sealed import SLOTS, SealedMachine
from tests.unit.crash.stores import KINDS, Kind
from tests.unit.crash.trace import Fault

FEW = Depth(all_of=3, random=10, sectors=2, both=1)
CUTS = st.none() | st.integers(0, 1 << 16)
"""Which of all crashes of a trace is the end of this life, None for none of them."""
FAULTS = st.none() | st.builds(Fault, st.integers(1, 12), st.booleans(), st.booleans())
REFUSALS = st.sampled_from(["", "", "freeze", "atomic_restore"])


class Lives(RuleBasedStateMachine):
    """A machine that saves, boots, discards and uses its swap; its power is cut between writes."""

    machine: Machine
    """That of the test."""

    def __init__(self) -> None:
        super().__init__()
        self.explorer = Explorer(self.machine, FEW)
        self.state = self.machine.fresh()
        self.is_on = True

    @property
    def is_visible(self) -> bool:
        return self.machine.mark_if_visible(self.state.disks[0]) is not None

    def live(self, trace: Trace, cut: int | None) -> bool:
        """Go on from the end of a trace, or from where it is cut off; return which."""
        found = [] if cut is None else [*trace.crashes(FEW)]
        if cut is None or not found:
            self.state = trace.after
            return True
        crash = found[cut % len(found)]
        self.state, self.is_on = State(crash.disks, crash.may), False
        return False

    def going_on(self) -> State:
        """Return the state of a machine that runs: an image that it has kept may stay."""
        return State(self.state.disks, self.state.may | {COLD})

    @precondition(lambda self: self.is_on and not self.machine.refuses_to_save(self.state))
    @rule(name=st.sampled_from([*STREAMS]), cut=CUTS, fault=FAULTS, stays=st.booleans())
    def save(self, name: str, cut: int | None, fault: Fault | None, stays: bool) -> None:
        trace = self.machine.save(self.going_on(), name, fault, stays_on=stays)
        if self.live(trace, cut):
            self.is_on = trace.outcome != "off"

    @precondition(lambda self: not self.is_on)
    @rule(refuse=REFUSALS, forbid=st.sampled_from(["", "", "noresume"]), cut=CUTS, fault=FAULTS)
    def boot(self, refuse: str, forbid: str, cut: int | None, fault: Fault | None) -> None:
        trace = self.machine.boot(self.state, refuse, forbid, fault)
        assert trace.outcome in self.state.may | ({COLD} if refuse or forbid or fault else set())
        if not self.live(trace, cut):
            return
        self.is_on = True
        if trace.outcome != COLD:
            self.live(self.machine.go_on_restored(self.state, trace.outcome), cut)

    @precondition(lambda self: self.is_on)
    @rule(cut=CUTS)
    def discard(self, cut: int | None) -> None:
        self.live(self.machine.discard(self.going_on()), cut)

    @precondition(lambda self: self.is_on and self.machine.kind.name == "swap")
    @rule(cut=CUTS)
    def swapon(self, cut: int | None) -> None:
        """As util-linux has it: the signature is put back, the mark stays."""

        def put_back() -> str:
            self.machine.expect(COLD, *self.machine.expected)
            with opened(self.machine.paths[0]) as fd:
                os.pwritev(fd, [memoryview(SWAP_SIGNATURE)], SIGNATURE_OFFSET)
                os.fsync(fd)
            self.machine.expect(COLD)
            return ""

        self.live(self.machine.do(self.going_on(), put_back), cut)

    @precondition(lambda self: self.is_on)
    @rule()
    def made_anew(self) -> None:
        """By mkswap of another system, or mkstore: the pages stay, the first one does not."""
        (disk, *memory), kind = self.state.disks, self.machine.kind
        start, end = kind.page * PAGE, (kind.page + 1) * PAGE
        anew = disk[:start] + kind.first + disk[end:]
        self.state = State((anew, *memory), frozenset({COLD}))

    @invariant()
    def all_goes_as_it_may(self) -> None:
        """The power is cut here, too: every program runs on what is on the disk."""
        self.explorer.run(self.state)


EXAMPLES = pytest.mark.parametrize(
    "examples", [12, pytest.param(1000, marks=pytest.mark.long)], ids=["few", "many"]
)


def live_through(machine: Machine, examples: int, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Lives, "machine", machine, raising=False)
    run_state_machine_as_test(
        Lives,
        settings=settings(
            max_examples=examples,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=[*HealthCheck],
        ),
    )
    machine.close()


@EXAMPLES
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_lives(
    kind: Kind, examples: int, tmp_path: Path, boot: Boot, monkeypatch: pytest.MonkeyPatch
) -> None:
    live_through(Machine(kind, tmp_path, boot, monkeypatch), examples, monkeypatch)


@EXAMPLES
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_lives_that_a_tpm_counts(
    kind: Kind, examples: int, tmp_path: Path, boot: Boot, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = SealedMachine(SLOTS["tpm2"], kind, tmp_path, boot, monkeypatch)
    live_through(machine, examples, monkeypatch)
