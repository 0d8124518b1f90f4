"""Processes, as /proc shows them (proc(5)). Each function raises OSError for one that has ended."""

import contextlib
import os

NAME_SIZE = 15
"""Bytes of a name that the kernel keeps (TASK_COMM_LEN, include/linux/sched.h)."""


def pids() -> list[int]:
    """Return the ids of all processes of now, kernel threads too."""
    return sorted(int(name) for name in os.listdir("/proc") if name.isdecimal())


def name_of(pid: int) -> str:
    """Return its name, as `ps -o comm` shows it: at most NAME_SIZE bytes."""
    with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
        return file.read().rstrip("\n")


def open_files(pid: int) -> set[str]:
    """Return the paths of what it has open. Asks no file system, so that none can hang."""
    folder = f"/proc/{pid}/fd"
    paths = set()
    for fd in os.listdir(folder):
        with contextlib.suppress(OSError):  # closed since
            paths.add(os.readlink(f"{folder}/{fd}"))
    return paths


def mount_namespace(pid: int | None = None) -> str:
    """Return the name of its mount namespace, or of ours: `mnt:[…]` (namespaces(7))."""
    process = "self" if pid is None else str(pid)
    return os.readlink(f"/proc/{process}/ns/mnt")


def start_of(pid: int) -> int:
    """Return when it was started, in clock ticks since the boot (proc(5), stat, starttime)."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[19])
