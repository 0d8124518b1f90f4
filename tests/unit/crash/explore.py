"""Runs every program on every disk that a power cut can leave, and cuts those off, too.

To closure: what a boot or discard leaves when it is cut off is a state of its own, on which all of
them run again, until there is none that was not seen.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable

from errors import DamagedError, UnknownOwnerError
from format.first_page import MARK_OFFSET, SIGNATURE_OFFSET, SWAP, USER_IMAGE, FirstPage
from format.layout import MARK_SIZE
from format.mark import Mark
from tests.unit.crash.cuts import Crash, Depth
from tests.unit.crash.machine import COLD, Machine, State, Trace

NO_IMAGE = 3


class Explorer:
    """Counts what it has seen, and fails at the first outcome that is none of those allowed."""

    def __init__(self, machine: Machine, depth: Depth) -> None:
        self.machine = machine
        self._depth = depth
        self._seen: set[tuple[bytes, frozenset[str]]] = set()
        self.cuts = 0
        """Ways in which the power was cut, many of which leave the same."""
        self.outcomes = Counter[str]()
        """How each boot ended, one for each disk that is unlike all others."""
        self.cold: dict[bytes, State] = {}
        """A machine that booted cold, for each first page that it was left with."""

    def explore(self, traces: Iterable[Trace]) -> None:
        """Cut each trace off everywhere, and the boots after it, and theirs."""
        self._explore(traces, self.run)

    def explore_boots(self, traces: Iterable[Trace]) -> None:
        """As `explore`, where the first page is none of a store yet, or not the only one."""
        self._explore(traces, self._run_boot)

    def _explore(self, traces: Iterable[Trace], run: Callable[[State], list[Trace]]) -> None:
        waiting, last = deque(traces), None
        while waiting:
            trace = waiting.popleft()
            if not trace.has_writes:
                continue  # what it leaves is what it found
            crashes, last = trace.crashes(self._depth, last), trace
            for crash in crashes:
                self.cuts += 1
                key = crash.digest, crash.may
                if key not in self._seen:
                    self._seen.add(key)
                    waiting += self._examine(crash, run)

    def _examine(self, crash: Crash, run: Callable[[State], list[Trace]]) -> list[Trace]:
        """Run all on what a cut has left; return what can be cut off in its turn."""
        try:
            return run(State(crash.disks, crash.may))
        except AssertionError as error:
            error.add_note(f"after a cut at {crash.where}; expected: {sorted(crash.may)}")
            raise

    def _run_boot(self, state: State) -> list[Trace]:
        assert self.machine.verify(state) in (self.machine.sound, NO_IMAGE), "verify"
        booted = self.machine.boot(state)
        self.outcomes[booted.outcome] += 1
        assert booted.outcome in state.may, (
            f"a boot ended so: {booted.outcome}; {self.machine.said}"
        )
        return [booted]

    def run(self, state: State) -> list[Trace]:
        """Run every program on this state; return what each of them did."""
        machine, disk = self.machine, state.disks[0]
        mark = machine.mark_if_visible(disk)
        if mark:
            machine.check_counted(state.disks, mark)
        is_torn = mark is not None and machine.is_torn(disk, mark)
        self._check_first_page(disk, is_visible=mark is not None)
        sound = DamagedError.exit_code if is_torn else machine.sound
        assert machine.verify(state) == (sound if mark else NO_IMAGE), "verify"
        booted = machine.boot(state)
        self._check_boot(booted)
        traces = [booted, self._discard(state, mark)]
        if mark and machine.mark_if_visible(booted.after.disks[0]) is None:
            machine.check_wiped(booted.after.disks[0], mark)
        if mark:
            others = [
                machine.boot(state, refuse="freeze"),
                machine.boot(state, refuse="atomic_restore"),
                machine.boot(state, words="noresume"),
            ]
            for other in others:
                assert other.outcome == COLD, "a refused boot"
                self._check_boot_on(other.after)
            traces += others
        if booted.outcome != COLD:
            restored = machine.go_on_restored(booted.after, booted.outcome)
            self._check_cold(restored.after)
            traces.append(restored)
        return traces

    def _discard(self, state: State, mark: Mark | None) -> Trace:
        """Run torpor discard, which leaves an image alone that does not tell whose it is."""
        discarded, machine = self.machine.discard(state), self.machine
        if mark and machine.is_torn(state.disks[0], mark):
            assert discarded.outcome == str(UnknownOwnerError.exit_code), "discard"
            return discarded
        assert discarded.outcome == str(0 if mark else NO_IMAGE), "discard"
        self._check_cold(discarded.after)
        if mark:
            machine.check_wiped(discarded.after.disks[0], mark)
        return discarded

    def _check_boot(self, booted: Trace) -> None:
        self.outcomes[booted.outcome] += 1
        assert booted.outcome in booted.before.may, (
            f"a boot ended so: {booted.outcome}; {self.machine.said}"
        )
        if booted.outcome == COLD:
            self._check_cold(booted.after)

    def _check_boot_on(self, state: State) -> None:
        """A boot that was refused leaves a cold machine, or an image for another."""
        if self.machine.mark_if_visible(state.disks[0]) is None:
            self._check_cold(state)

    def _check_cold(self, state: State) -> None:
        """No image is there, nor does a boot see one; the store takes the next one."""
        disk = state.disks[0]
        assert self.machine.mark_if_visible(disk) is None, "a mark is left"
        self._check_first_page(disk, is_visible=False)
        assert state.may == {COLD}
        self.cold.setdefault(self.machine.kind.first_of(disk), state)

    def _check_first_page(self, disk: bytes, *, is_visible: bool) -> None:
        """But for mark and signature it is mkswap's or mkstore's; swap is swap or has an image."""
        kind = self.machine.kind
        page, plain = kind.first_of(disk), kind.first
        assert _without_mark(page) == _without_mark(plain), "the first page has changed"
        is_swap = FirstPage(plain).signature == SWAP
        signature = USER_IMAGE if is_visible or not is_swap else SWAP
        assert FirstPage(page).signature == signature, "the signature is wrong"
        if not is_visible and not is_swap:
            assert page == plain, "something is left in the first page"


def _without_mark(page: bytes) -> bytes:
    return page[:MARK_OFFSET] + page[MARK_OFFSET + MARK_SIZE : SIGNATURE_OFFSET]
