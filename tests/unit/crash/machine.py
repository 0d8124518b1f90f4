"""A machine with one store: what it does is recorded, and may be cut off anywhere."""

import argparse
import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import NoReturn
from uuid import UUID

import pytest

from errors import KernelRefusedError, TorporError
from format import reader
from format.first_page import USER_IMAGE, FirstPage
from format.mark import MAX_LOADS, Mark
from guard.take import Guarded
from hibernate import opened, sequence, writing
from hibernate.attempts import hibernate_once
from hibernate.downtime import Downtime
from hibernate.filesystems import FileSystems
from hibernate.marking import Marking
from hibernate.plan import Plan
from hibernate.power_off import Mode
from linux import power
from resume import candidates, check, images, restore
from state.location import Location
from store import blocks, device
from store.protocol import Store
from tests.forge import PAGE
from tests.unit.booting import Boot
from tests.unit.crash.cuts import Crash, Depth, crashes
from tests.unit.crash.stores import PAGES, SWAP_PAGES, Kind, stand_for_devices
from tests.unit.crash.trace import Disks, Event, Expect, Fault, Flush, Recorder, Write, replay
from tests.unit.fake_snapshot import FakeSnapshot, PoweredOff, Restored
from tests.unit.hibernating import no_working_set
from tests.unit.marked import FACTS, INSTALLATION, ROOT
from torpor.commands import discard, verify

COLD = "cold"
STREAMS = {name: PAGE * b"1" + Random(name).randbytes(4 * PAGE) for name in ("first", "second")}
"""Memories that are saved, each of its own; the kernel wants to see the same first page."""

IMAGES = {name: UUID(int=nth) for nth, name in enumerate(STREAMS, 1)}
"""The same at each time, so that what was seen once need not be looked at again."""


@dataclass(frozen=True, slots=True)
class State:
    """A machine that is off: its disks, and what a boot may do with them."""

    disks: Disks
    may: frozenset[str]


@dataclass(frozen=True, slots=True)
class Trace:
    """What was done to a state."""

    before: State
    events: Sequence[Event]
    outcome: str
    """A name of STREAMS that was restored, COLD, or another word."""

    @property
    def has_writes(self) -> bool:
        return any(isinstance(event, Write) for event in self.events)

    @property
    def steps(self) -> int:
        """How many writes and flushes it has."""
        return sum(isinstance(event, Write | Flush) for event in self.events)

    @property
    def after(self) -> State:
        may = [event.may for event in self.events if isinstance(event, Expect)]
        return State(replay(self.before.disks, self.events), [self.before.may, *may][-1])

    def crashes(self, depth: Depth, other: "Trace | None" = None) -> Iterator[Crash]:
        """Yield each state that a power cut can leave, but for those of another trace."""
        is_like = other is not None and other.before == self.before
        pairs = enumerate(zip(self.events, other.events if is_like and other else (), strict=False))
        known = next((nth for nth, (ours, its) in pairs if ours != its), 0)
        return crashes(self.before.disks, self.events, self.before.may, depth, known)


class Machine:
    """One with this kind of store on its first disk; each method turns a state into a trace."""

    memory: Disks = ()
    """What lasts beside the disks, as it is at first."""
    sound = 0
    """Exit code of verify for an image that a boot sees."""

    def __init__(
        self, kind: Kind, folder: Path, boot: Boot, patch: pytest.MonkeyPatch, disks: int = 1
    ) -> None:
        self.kind = kind
        self.paths = [folder / f"disk{nth}" for nth in range(disks)]
        for path in self.paths:
            path.touch()
        self.stores = disks
        """How many of the disks may be a store; the others are memory that lasts, as a TPM's."""
        self.paths += [folder / f"memory{nth}" for nth in range(len(self.memory))]
        for path in self.paths[disks:]:
            path.touch()
        self._fds = [os.open(path, os.O_RDWR) for path in self.paths]
        self.store = 0
        """The disk to save to."""
        self.snapshot = FakeSnapshot()
        self._boot = boot
        boot.whole = [*map(str, self.paths[:disks])]
        self.said = ""
        """By the last boot, of why it did not resume."""
        self.expected = frozenset[str]()
        """What a boot may do now."""
        stand_for_devices(self.paths[0], patch)
        self.recorder = Recorder(self.paths, patch)
        self._make_small(patch)
        self._watch(patch)

    def close(self) -> None:
        self.recorder.close()
        for fd in self._fds:
            os.close(fd)

    def _make_small(self, patch: pytest.MonkeyPatch) -> None:
        """Make images of a few writes; take what is slow out of the way."""
        patch.setattr(blocks, "WRITES", 1)  # in the order of the image, the same each time
        patch.setattr(writing, "CHUNK_SIZE", 4 * PAGE)
        patch.setattr(writing, "these_facts", lambda: FACTS)
        patch.setattr(time, "time_ns", lambda: 0)
        patch.setattr(opened, "image_of", lambda *_: 10 * PAGE)  # so some swap is got ahead
        patch.setattr(writing, "machine_id", lambda: INSTALLATION)
        patch.setattr(check, "these_facts", lambda: FACTS)
        patch.setattr(reader, "in_order", lambda jobs, *_, **__: (job() for job in jobs))
        patch.setattr(Guarded, "entries", lambda *_: [ROOT])
        patch.setattr(images, "compare", lambda *_: None)
        patch.setattr(candidates, "is_held", lambda *_: True)

    def _watch(self, patch: pytest.MonkeyPatch) -> None:
        """See when this machine is about to go on; what runs has no other kernel."""

        def open_store(_path: str) -> Store:
            return self.kind.opens(self.paths[self.store])

        def open_snapshot(flags: int) -> FakeSnapshot:
            return self.snapshot.open(flags)

        patch.setattr(opened, "open_store", open_store)
        patch.setattr(opened, "open_snapshot", open_snapshot)
        patch.setattr(restore, "open_snapshot", open_snapshot)
        patch.setattr(device, "open_snapshot", FakeSnapshot().open)
        patch.setattr(sequence, "power_off", self._power_off)
        patch.setattr(power, "reboot", self._end)
        thaw, clear_alone = FileSystems.thaw, Marking.clear_alone

        def go_on(file_systems: FileSystems) -> None:
            self.expect(COLD)
            thaw(file_systems)

        def rescue(ours: Marking) -> None:
            self.expect(COLD, *self.recorder.expected())  # of the writer
            clear_alone(ours)

        patch.setattr(FileSystems, "thaw", go_on)
        patch.setattr(Marking, "clear_alone", rescue)

    def fresh(self) -> State:
        """Return a machine that never hibernated."""
        return State((*(self.kind.disk(),) * self.stores, *self.memory), frozenset({COLD}))

    def put(self, disks: Disks) -> None:
        """Have other contents on the disks, past the recorder."""
        for fd, disk in zip(self._fds, disks, strict=True):
            os.pwrite(fd, disk, 0)

    def expect(self, *may: str) -> None:
        self.expected = frozenset(may)
        self.recorder.note(Expect(self.expected))

    def do(self, state: State, what: Callable[[], str], fault: Fault | None = None) -> Trace:
        """Do something to a state. Nothing is written past the recorder or beside the store."""
        self.put(state.disks)
        self.expected = state.may
        self.recorder.begin(fault)
        outcome = what()
        trace = Trace(state, self.recorder.events(), outcome)
        assert trace.after.disks == tuple(os.pread(fd, PAGES * PAGE, 0) for fd in self._fds)
        for event in trace.events:
            if isinstance(event, Write) and event.disk < self.stores:
                pages = range(event.offset // PAGE, -(-(event.offset + len(event.data)) // PAGE))
                assert self.kind.pages.issuperset(pages), "written beside the store"
        return trace

    # Saving

    def save(self, state: State, name: str, fault: Fault | None = None, **how: bool) -> Trace:
        """Hibernate with the memory `name`: `verify` as the option, `stays_on` by no power-off."""
        return self.do(state, partial(self._save, name, **how), fault)

    def refuses_to_save(self, state: State) -> bool:
        """Return whether swap is not in use: it holds an image."""
        return self.kind.name == "swap" and self.mark_if_visible(state.disks[0]) is not None

    def save_killed(self, state: State, name: str, after: int) -> Trace:
        """Hibernate; the writer is killed after so many writes and flushes."""
        return self.do(state, partial(self._save_killed, name, after))

    def _save(self, name: str, *, verify: bool = False, stays_on: bool = False) -> str:
        self._stays_on = stays_on
        self.snapshot = FakeSnapshot(STREAMS[name], swap_pages=SWAP_PAGES)
        plan = Plan("", Mode.PLATFORM, IMAGES[name], verify=verify)
        try:
            hibernate_once(self.ready(plan), partial(self._see, name), no_working_set(), Downtime())
        except PoweredOff:
            return "off"
        except TorporError as error:
            return type(error).__name__
        raise AssertionError("a second life")

    def ready(self, plan: Plan) -> Plan:
        """Return how it hibernates, as planned."""
        return plan

    def _save_killed(self, name: str, after: int) -> str:
        """The watchdog holds the pipe as its writer does; at its end both are gone."""
        read_end, write_end = os.pipe()
        writer = os.fork()
        if writer == 0:
            self.recorder.kill_after = after
            with contextlib.suppress(BaseException):
                self._save(name, stays_on=True)
            os._exit(0)
        os.close(write_end)
        _, status = os.waitpid(writer, 0)
        assert os.read(read_end, 1) == b""
        os.close(read_end)
        return "killed" if os.WIFSIGNALED(status) else "on"

    def _see(self, name: str, message: str) -> None:
        """See what the writer is about to do."""
        if message == "freezing tasks":
            self.expect(COLD)
        elif message == "marking":
            self.expect(COLD, name)
        elif message == "marked, powering off":
            self.expect(name)

    def _power_off(self, *_: object) -> None:
        if self._stays_on:
            self.expect(COLD, *self.expected)
            raise KernelRefusedError("the machine does not power off")
        self._end()

    def _end(self, *_: object) -> NoReturn:
        """What still runs here does so no more: its undoing is that of the test."""
        self.recorder.is_off = True
        raise PoweredOff

    def go_on_restored(self, state: State, name: str) -> Trace:
        """Be the machine that was restored from this state, up to when it goes on."""
        return self.do(state, partial(self._go_on_restored, name, state.disks))

    def _go_on_restored(self, name: str, disks: Disks) -> str:
        """What it remembers of the disk is from before the snapshot."""
        self.snapshot = FakeSnapshot(STREAMS[name], swap_pages=SWAP_PAGES)
        self.snapshot.second_life = True
        self.snapshot.before["create_image"] = lambda: self.put(disks)
        self.put((self.kind.disk(), *disks[1:]))
        plan = Plan("", Mode.PLATFORM, IMAGES[name])
        hibernate_once(plan, lambda _message: None, no_working_set(), Downtime())
        return "on"

    # Booting

    def boot(
        self, state: State, refuse: str = "", words: str = "", fault: Fault | None = None
    ) -> Trace:
        """Boot; the kernel refuses the call `refuse`, `words` are on its command line."""
        return self.do(state, partial(self._resume, state, refuse, words), fault)

    def _resume(self, state: State, refuse: str, words: str) -> str:
        mark = self.mark_if_visible(state.disks[0])
        self.snapshot = FakeSnapshot(STREAMS["first"])
        named = f"resume={self.paths[0]} resume_offset={self.kind.page}"
        if words or (mark and self.is_spent(state.disks, mark)):
            self.expect(COLD, *state.may)
        elif mark:
            self._see_boot(state.may - {COLD}, mark, refuse)
        try:
            outcome = self._boot.resume(
                f"{words or 'quiet'} {named if self.stores == 1 else ''}",
                Location("", 0, INSTALLATION),
            )
        except Restored:
            loaded = bytes(self.snapshot.loaded)
            return next(name for name, stream in STREAMS.items() if stream == loaded)
        finally:
            self.snapshot.close()
        self.said = outcome.message
        if outcome.not_discarded:
            assert self.recorder.fault, outcome.not_discarded
            self.expect(COLD, *state.may)  # which the guard refuses from now on
        else:
            self.expect(*(state.may - {COLD} if outcome.kept else {COLD}))
        return COLD

    def _see_boot(self, saved: frozenset[str], mark: Mark, refuse: str) -> None:
        """Expect what docs/DESIGN.md says of each state, as the snapshot device sees them come."""
        is_last_load = mark.loads + 1 == MAX_LOADS
        before = self.snapshot.before
        if is_last_load or self.recorder.fault:
            self.expect(COLD, *self.expected)

        def load() -> None:
            del before["write"]
            self.expect(*({COLD} if is_last_load else saved))

        def freezes() -> None:
            self.check_claimed()
            self.expect(COLD)
            if refuse == "freeze":
                self.expect(COLD, *saved)
                raise OSError(errno.EBUSY, "refused")

        def restores() -> None:
            if refuse == "atomic_restore":
                self.expect(COLD, *saved)
                raise OSError(errno.ENOMEM, "refused")

        before["write"] = load
        before["platform_support"] = lambda: self.expect(COLD, *self.expected)
        before["freeze"], before["atomic_restore"] = freezes, restores

    def is_spent(self, _disks: Disks, mark: Mark) -> bool:
        """Return whether no boot restores the image any more."""
        return bool(mark.why_spent())

    def is_torn(self, _disk: bytes, _mark: Mark) -> bool:
        """Return whether the superblock of the image is half of one and half of another."""
        return False

    def check_claimed(self) -> None:
        """Look at the disks when the kernel is asked to become the image."""

    def check_counted(self, disks: Disks, mark: Mark) -> None:
        """Look at whether a TPM knows of what the mark says."""

    def check_wiped(self, disk: bytes, mark: Mark) -> None:
        """Look at a disk on which nobody shall be able to open this image any more."""

    # Commands

    def discard(self, state: State) -> Trace:
        """Run torpor discard."""
        store = str(self.kind.path(self.paths[0]))

        def run() -> str:
            self.expect(COLD, *self.expected)
            asked = argparse.Namespace(store=store, stale=None, force=False)
            code = _exit_code(partial(discard.run, asked))
            self.expect(COLD)
            return str(code)

        return self.do(state, run)

    def verify(self, state: State) -> int:
        """Run torpor verify, which writes nothing; return its exit code."""
        image = str(self.kind.path(self.paths[0]))
        arguments = argparse.Namespace(image=image, json=False, identity=None)
        trace = self.do(state, lambda: str(_exit_code(partial(verify.run, arguments))))
        assert not trace.events
        return int(trace.outcome)

    def mark_if_visible(self, disk: bytes) -> Mark | None:
        """Return the mark of the image that a boot sees. Raises as Mark.parse."""
        page = self.kind.first_of(disk)
        return Mark.parse(page) if FirstPage(page).signature == USER_IMAGE else None


def _exit_code(run: Callable[[], None]) -> int:
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        try:
            run()
        except TorporError as error:
            return error.exit_code
    return 0
