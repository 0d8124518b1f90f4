"""Freezes all tasks, and finds out which one does not let itself be frozen."""

import re
from contextlib import ExitStack, closing
from itertools import islice

from errors import KernelRefusedError
from linux.kmsg import KernelLogReader
from linux.snapshot import SnapshotDevice

_TASK = re.compile(r"task:(?P<name>.+?)\s+state:\S(?:.*?\bpid:\s*(?P<pid>\d+))?")
"""sched_show_task (kernel/sched/core.c), as the freezer calls it (kernel/power/process.c)."""

_MOST = 3
"""How many are named."""


def freeze_tasks(snapshot: SnapshotDevice) -> None:
    """Freeze all tasks but this one. Raises KernelRefusedError, which names those that go on."""
    with ExitStack() as reading:
        kernel_log = _open_log(reading)
        try:
            snapshot.freeze()
        except OSError as error:
            names = stuck_tasks(kernel_log.new_messages()) if kernel_log else []
            if not names:
                raise KernelRefusedError(f"the tasks cannot be frozen: {error}") from error
            raise KernelRefusedError(
                f"the tasks cannot be frozen: {', '.join(names)} does not stop",
                "end it, or what it waits for: a file system, a server or a device that is gone",
            ) from error


def _open_log(reading: ExitStack) -> KernelLogReader | None:
    try:
        return reading.enter_context(closing(KernelLogReader()))
    except OSError:
        return None


def stuck_tasks(messages: list[str]) -> list[str]:
    """Return names and ids of the tasks that the kernel shows there, the first few of them."""
    found = filter(None, map(_TASK.match, messages))
    return [f"{task['name']} (process {task['pid'] or '?'})" for task in islice(found, _MOST)]
