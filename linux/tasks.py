"""Processes, as /proc shows them (proc(5)), and what our own asks for itself.

A function about a process raises OSError for one that has ended.
"""

import contextlib
import os
import stat
from collections.abc import Container, Iterator

from linux import proc
from linux.libc import checked, libc, number_of
from linux.mounts import mount_id_of

NAME_SIZE = 15
"""Bytes of a name that the kernel keeps (TASK_COMM_LEN, include/linux/sched.h)."""

_MCL_CURRENT, _MCL_FUTURE = 1, 2
"""include/uapi/asm-generic/mman.h."""
_PR_SET_DUMPABLE = 4
"""include/uapi/linux/prctl.h."""
_IOPRIO_WHO_PROCESS = 1
_IOPRIO_IDLE = 3 << 13
"""IOPRIO_CLASS_IDLE, include/uapi/linux/ioprio.h."""


def pids() -> list[int]:
    """Return the ids of all processes of now, kernel threads too."""
    return sorted(int(name) for name in os.listdir("/proc") if name.isdecimal())


def name_of(pid: int) -> str:
    """Return its name, as `ps -o comm` shows it: at most NAME_SIZE bytes."""
    with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace", newline="\n") as file:
        return file.read().removesuffix("\n")


def user_of(pid: int) -> int:
    """Return its effective user (proc(5), status, Uid)."""
    for line in proc.lines(proc.read(f"/proc/{pid}/status")):
        if line.startswith("Uid:"):
            return int(line.split()[2])
    raise ProcessLookupError(pid)


def open_files(pid: int) -> set[str]:
    """Return the paths of what it has open. Asks no file system, so that none can hang."""
    folder = f"/proc/{pid}/fd"
    paths = set()
    for fd in os.listdir(folder):
        with contextlib.suppress(OSError):  # closed since
            paths.add(os.readlink(f"{folder}/{fd}"))
    return paths


def written_devices(pid: int, mounts: Container[int]) -> Iterator[str]:
    """Yield MAJOR:MINOR of the block devices that it has open for writing.

    By nodes on these mounts, given by their ids; no other file system is asked, so that none can
    hang.
    """
    folder = f"/proc/{pid}/fd"
    for fd in os.listdir(folder):
        link = f"{folder}/{fd}"
        with contextlib.suppress(OSError):  # closed since
            # Its mode is that of the open file (fs/proc/fd.c, tid_fd_update_inode).
            is_written = os.lstat(link).st_mode & stat.S_IWUSR
            if is_written and os.readlink(link)[0] == "/" and mount_id_of(fd, pid) in mounts:
                status = os.stat(link)
                if stat.S_ISBLK(status.st_mode):
                    yield f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"


def mount_view(pid: int | None = None) -> tuple[str, str]:
    """Return what its mountinfo depends on, or ours: the mount namespace and the root in it."""
    process = "self" if pid is None else str(pid)
    return os.readlink(f"/proc/{process}/ns/mnt"), os.readlink(f"/proc/{process}/root")


def start_of(pid: int) -> int:
    """Return when it was started, in clock ticks since the boot (proc(5), stat, starttime)."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[19])


def lock_memory() -> None:
    """Lock all memory of our process, that of the future too (mlockall(2)). Raises OSError."""
    checked(libc.mlockall(_MCL_CURRENT | _MCL_FUTURE))


def forbid_core_dump() -> None:
    """Let no signal dump our core (prctl(2), PR_SET_DUMPABLE). Raises OSError."""
    checked(libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))


def be_idle() -> None:
    """Let all others go before this thread, and those it starts, at disks and processors."""
    os.setpriority(os.PRIO_PROCESS, 0, 19)
    checked(libc.syscall(number_of("ioprio_set"), _IOPRIO_WHO_PROCESS, 0, _IOPRIO_IDLE))
