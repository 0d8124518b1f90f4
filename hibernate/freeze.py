"""Freezes the machine: nothing changes on its disks, and nothing waits to."""

import errno
import re
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack, suppress
from functools import partial
from itertools import islice
from typing import Self

from errors import KernelRefusedError, command
from format.tables import GuardEntry
from guard.take import Guarded
from hibernate.cgroups import Cgroups
from hibernate.filesystems import FileSystems, every_mount, to_freeze
from hibernate.flush import flush
from hibernate.last_resort import LastResort
from hibernate.served import connecting_again, refuse_served, refuse_served_swap
from hibernate.signals import stop_if_asked
from hibernate.stateful import refuse_stateful
from hibernate.unlisted import refuse_unlisted
from linux.filesystem import zfs_pools
from linux.kmsg import KernelLogReader, Log
from linux.mounts import MountTable, active_swaps
from linux.root import HOST
from linux.snapshot import SnapshotDevice

_TASK = r"task:(?P<name>.+?)\s+state:\S(?:.*?\bpid:\s*(?P<pid>\d+))?"
"""sched_show_task (kernel/sched/core.c), as the freezer calls it (kernel/power/process.c)."""

_MOST = 3
"""How many are named."""

RETRY = 5.0
"""Seconds in which a freeze that was interrupted is tried again."""
_PAUSE = 0.1


class Freeze:
    """All that is to be frozen, found and opened; a context manager that closes it again."""

    def __init__(
        self, helpers: Collection[str], store: str, unguarded: Collection[str] = ()
    ) -> None:
        """`helpers` as for Cgroups; `store` is where the image goes.

        `unguarded` as for Guarded and refuse_unlisted. Raises KernelRefusedError, UnreadableError.
        """
        _refuse_zfs()
        with ExitStack() as files:
            self._table = MountTable(every_mount())
            some = to_freeze(self._table)
            refuse_served(some, self._table)
            refuse_served_swap(self._table)
            refuse_stateful(self._table)
            refuse_unlisted(self._table, store, unguarded)
            self._file_systems = files.enter_context(FileSystems(some))
            self._guarded = files.enter_context(Guarded(unguarded))
            self._guarded.open_all(self._table)
            self._guarded.open_swap([store, *(area.path for area in active_swaps(HOST))])
            self._cgroups = Cgroups(helpers)
            self._again = connecting_again(some, self._table, store)
            self._last_resort = ExitStack()
            self._files = files.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    @property
    def rescue(self) -> tuple[Callable[[], None], ...]:
        """What the watchdog does, in this order, when the kernel has thawed all tasks."""
        return self._file_systems.thaw, self._cgroups.thaw

    def thaw_early(self) -> None:
        """Let the cgroups go on, for the watchdog, while the writer hangs in FREEZE's sync."""
        self._cgroups.thaw()

    def let_go(self, snapshot: SnapshotDevice) -> None:
        """Let everything go on while the writer hangs, which may undo the rest once it can.

        Raises OSError if the kernel does not let it. The pages of swap that the image has stay
        taken: what hangs may still be written there.
        """
        snapshot.free()
        self._file_systems.thaw_apart()
        snapshot.unfreeze()
        self._cgroups.thaw()

    def connect_again(self, snapshot: SnapshotDevice, log: Log) -> None:
        """In the second life, let helpers go on if they have to connect disks again first.

        All others stay in their cgroups, and the file systems frozen: nothing of ours can be
        written to such a disk before. The watchdog runs again, too.
        """
        if self._again:
            log(f"{', '.join(self._again)} connects disks again")
            self._last_resort.close()  # the kernel warns of its thread when it thaws
            snapshot.free()
            snapshot.unfreeze()

    def begin(
        self,
        snapshot: SnapshotDevice,
        undo: ExitStack,
        last_resort: LastResort,
        phase: Callable[[str], None],
    ) -> list[GuardEntry]:
        """Stop everything; return what the guard says of the disks from then on.

        `undo` gets what lets it go on, `phase` is told what begins. Raises KernelRefusedError,
        AbortedError, UnreadableError.
        """
        log = last_resort.log
        if self._guarded.notes:
            log("; ".join(self._guarded.notes))
        log("freezing tasks")
        undo.callback(self._cgroups.thaw)
        self._cgroups.freeze(log)
        log("syncing")
        phase("sync")
        flush(self._table)
        log("freezing everything")
        phase("freeze")
        undo.enter_context(last_resort.armed())
        freeze_tasks(snapshot)
        undo.callback(snapshot.unfreeze)
        self._last_resort.enter_context(last_resort.guarding(partial(self.let_go, snapshot)))
        undo.push(self._last_resort)
        undo.callback(self._file_systems.thaw)
        self._file_systems.freeze(last_resort.progress)

        def progress() -> None:
            last_resort.progress()
            stop_if_asked()

        phase("guard")
        return list(self._guarded.entries(progress))


def _refuse_zfs() -> None:
    """Raise KernelRefusedError if a pool is imported: nothing stops its threads.

    They write while the snapshot is being saved, and the restored machine knows nothing of that:
    pools have been lost so (openzfs issues 260, 14118).
    """
    if pools := zfs_pools(HOST):
        raise KernelRefusedError(
            f"ZFS cannot be frozen, and {', '.join(pools)} would not survive that",
            f"export it before you hibernate: {command('zpool', 'export', pools[0])}",
        )


def freeze_tasks(snapshot: SnapshotDevice) -> None:
    """Freeze all tasks but this one.

    Tried again where no task is to blame: a wakeup event ends the freeze, and from 6.19 on the sync
    before it, with EBUSY, too (pm_sleep_fs_sync in kernel/power/main.c). A task that does not stop
    takes the kernel 20 s. Raises KernelRefusedError, which names those that go on, AbortedError.
    """
    with ExitStack() as reading:
        kernel_log = None
        with suppress(OSError):
            kernel_log = reading.enter_context(KernelLogReader())
        deadline = time.monotonic() + RETRY
        while (error := _why_not_frozen(snapshot)) is not None:
            if names := stuck_tasks(kernel_log.new_messages()) if kernel_log else []:
                raise KernelRefusedError(
                    f"the tasks cannot be frozen: {', '.join(names)} does not stop",
                    "end it, or what it waits for: a file system, a server or a device that is "
                    "gone",
                ) from error
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise KernelRefusedError(f"the tasks cannot be frozen: {error}") from error
            stop_if_asked()
            time.sleep(_PAUSE)


def _why_not_frozen(snapshot: SnapshotDevice) -> OSError | None:
    try:
        snapshot.freeze()
    except OSError as error:
        return error
    return None


def stuck_tasks(messages: list[str]) -> list[str]:
    """Return names and ids of the tasks that the kernel shows there, the first few of them."""
    found = filter(None, (re.match(_TASK, message) for message in messages))
    return [f"{task['name']} (process {task['pid'] or '?'})" for task in islice(found, _MOST)]
