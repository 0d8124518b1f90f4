"""Freezes the machine: nothing changes on its disks, and nothing waits to."""

from collections.abc import Callable, Collection
from contextlib import ExitStack
from typing import Self

from errors import KernelRefusedError, command
from format.sections.guard import GuardEntry
from guard.take import Guarded
from hibernate.cgroups import Cgroups
from hibernate.filesystems import FileSystems
from hibernate.flush import flush
from hibernate.mounted import every_mount, refuse_served, to_freeze
from hibernate.signals import stop_if_asked
from hibernate.stuck import freeze_tasks
from linux.filesystem import zfs_pools
from linux.kmsg import Log
from linux.mounts import MountTable
from linux.root import HOST
from linux.snapshot import SnapshotDevice


class Freeze:
    """All that is to be frozen, found and opened; a context manager that closes it again."""

    def __init__(self, helpers: Collection[str]) -> None:
        """`helpers` as for Cgroups. Raises KernelRefusedError, UnreadableError."""
        _refuse_zfs()
        with ExitStack() as files:
            self._table = MountTable(every_mount())
            some = to_freeze(self._table)
            refuse_served(some, self._table)
            self._file_systems = files.enter_context(FileSystems(some))
            self._guarded = files.enter_context(Guarded())
            self._guarded.open_all(self._table)
            self._cgroups = Cgroups(helpers)
            self._files = files.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    @property
    def rescue(self) -> tuple[Callable[[], None], ...]:
        """What the watchdog does, in this order, when the kernel has thawed all tasks."""
        return self._file_systems.thaw, self._cgroups.thaw

    def begin(self, snapshot: SnapshotDevice, undo: ExitStack, log: Log) -> list[GuardEntry]:
        """Stop everything; return what the guard says of the disks from then on.

        `undo` gets what lets it go on. Raises KernelRefusedError, AbortedError, UnreadableError.
        """
        if self._guarded.notes:
            log("; ".join(self._guarded.notes))
        log("freezing tasks")
        undo.callback(self._cgroups.thaw)
        self._cgroups.freeze(log)
        log("syncing")
        flush(self._table)
        log("freezing everything")
        freeze_tasks(snapshot)
        undo.callback(snapshot.unfreeze)
        undo.callback(self._file_systems.thaw)
        self._file_systems.freeze()
        entries = []
        for entry in self._guarded.entries():
            stop_if_asked()
            entries.append(entry)
        return entries


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
