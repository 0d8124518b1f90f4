"""The whole of a hibernation, from the preflight to the power-off, each step with its undo."""

import errno
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import partial

from errors import KernelRefusedError, TorporError
from format import checksum
from format.mark import Mark
from hibernate.downtime import Downtime
from hibernate.freeze import Freeze
from hibernate.last_resort import LastResort
from hibernate.marking import Marking
from hibernate.opened import Opened
from hibernate.plan import Plan
from hibernate.power_off import Mode, power_off
from hibernate.reclaim import reclaim_early
from hibernate.reserve import Reserve
from hibernate.signals import signals_held_back
from hibernate.watchdog import Watchdog
from hibernate.writing import Writing
from linux import tasks
from linux.kmsg import Log
from linux.snapshot import SnapshotDevice
from store.protocol import Store
from workingset.recorder import Recorder

_NO_MEMORY = "about half of the memory has to be free: close programs, or add swap"


def hibernate(
    plan: Plan, opened: Opened, log: Log, working_set: Recorder, downtime: Downtime
) -> None:
    """Hibernate; return in the second life, when the machine has been restored.

    Raises a TorporError after undoing everything: the machine then goes on as before, and nothing
    is marked. What is `opened` is closed then. `log` is called while everything is frozen and must
    not touch a file system or a terminal; each phase begins with a line of its own. `downtime` is
    told when the machine stops and goes on. The `working_set` is being recorded while all is made
    ready that takes no memory away; nothing is swapped out before it is known that all is there.
    """
    checksum.self_test()
    with ExitStack() as undo:
        store, snapshot = opened.store, opened.snapshot
        freeze = undo.enter_context(Freeze(plan.helpers, plan.store, plan.unguarded))
        marking = Marking(store, plan.image_uuid, log)
        last_resort = LastResort(plan.stall_timeout, log, marking.is_begun)
        log = last_resort.log
        thaw_early = partial(last_resort.thaw_early, freeze.thaw_early)
        reserve = Reserve(plan.image_size)
        rescue = (marking.clear_alone, *freeze.rescue, reserve.put_back)
        # One that held /dev/snapshot open, too, would never be woken.
        undo.enter_context(Watchdog(*rescue, meanwhile=thaw_early, let_go=snapshot.close))
        undo.enter_context(reserve)
        undo.callback(opened.close)  # before the watchdog is told to end: this thaws it, too
        writing = undo.enter_context(closing(Writing(store, plan)))
        _make_safe(store)
        writing.working_set = working_set.finish()
        reclaim_early(plan.largest_image(), log, working_set.swap_out)
        store.end_ahead()
        undo.enter_context(signals_held_back())
        downtime.begin()
        undo.callback(downtime.end, log)
        guard = freeze.begin(snapshot, undo, last_resort, downtime.phase)
        log("taking the snapshot")
        downtime.phase("snapshot")
        if not _take_snapshot(snapshot, plan, undo, partial(_lower, reserve, log)):
            _forget(store, marking, partial(freeze.connect_again, snapshot), log)
            log("resumed")
            return
        downtime.phase("write")
        log(f"snapshot of {snapshot.image_size() >> 20} MiB taken, writing it to {plan.store}")
        mark = writing.write(snapshot, guard, last_resort)
        if plan.verify:
            downtime.phase("read back")
            writing.read_back(mark, last_resort)
        downtime.phase("mark")
        _mark(marking, mark, undo, last_resort)
        log(f"frozen for {downtime}")
        power_off(snapshot, plan.mode)


def _mark(marking: Marking, mark: Mark, undo: ExitStack, last_resort: LastResort) -> None:
    """Make the image visible, unless the machine goes on without us: who is first says so."""
    last_resort.log("marking")
    undo.callback(marking.clear)
    marking.begin()
    last_resort.progress()
    marking.set(mark)
    last_resort.log("marked, powering off")


def _make_safe(store: Store) -> None:
    """Keep memory where it is, and nothing of an older image on the store."""
    try:
        tasks.lock_memory()
    except OSError as error:
        raise KernelRefusedError(f"memory cannot be locked: {error}", _NO_MEMORY) from error
    tasks.forbid_core_dump()  # onto a frozen file system, it would never end
    if store.slot.holds_image():
        store.slot.discard()
    store.slot.tidy()


def _lower(reserve: Reserve, log: Log) -> bool:
    if is_lower := reserve.lower():
        log("memory does not suffice: trying once more with less of it left free")
    return is_lower


def _take_snapshot(
    snapshot: SnapshotDevice, plan: Plan, undo: ExitStack, lower: Callable[[], bool]
) -> bool:
    """Return True in the first life, False in the second.

    Where memory does not suffice, it is tried once more if `lower` has less of it left free. In
    both lives the image has to be freed before the kernel lets the tasks go (user.c, UNFREEZE).
    """
    try:
        snapshot.platform_support(enabled=plan.mode == Mode.PLATFORM)
        first_life = _create_image(snapshot, lower)
    except OSError as error:
        hint = _NO_MEMORY if error.errno == errno.ENOMEM else ""
        raise KernelRefusedError(f"the kernel takes no snapshot: {error}", hint) from error
    undo.callback(snapshot.free)
    return first_life


def _create_image(snapshot: SnapshotDevice, lower: Callable[[], bool]) -> bool:
    try:
        return snapshot.create_image()
    except OSError as error:
        if error.errno != errno.ENOMEM or not lower():
            raise
    return snapshot.create_image()


def _forget(store: Store, marking: Marking, connect_again: Callable[[Log], None], log: Log) -> None:
    """Clear the mark of the image that we were: claimed, no boot restores it if it stays there."""
    connect_again(log)
    if store.is_on_server:
        return
    try:
        marking.clear()
    except TorporError as error:
        log(f"the mark is not cleared: {error}")
