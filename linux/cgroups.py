"""cgroup v2, its freezer and memory: Documentation/admin-guide/cgroup-v2.rst, "Interface Files".

A cgroup is named by its path below the root, "" for the root itself: "/system.slice/cron.service".
One that is gone raises FileNotFoundError, also where it went between open and read or write: kernfs
says ENODEV then (fs/kernfs/file.c).
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from linux import proc
from linux.mounts import read_mounts
from linux.open_file import OpenFile
from linux.proc import lines


def mount_point() -> str | None:
    """Return where the tree of cgroup v2 is mounted, alone or beside version 1; None if nowhere."""
    for mount in read_mounts():
        if mount.fs_type == "cgroup2":
            return mount.mount_point
    return None


def cgroup_of(pid: int) -> str:
    """Return the cgroup of the process (proc(5), cgroup). Raises OSError, as once it has ended."""
    for line in lines(proc.read(f"/proc/{pid}/cgroup")):
        if line.startswith("0::"):
            return line.removeprefix("0::").rstrip("/")
    return ""


def children(root: str, cgroup: str) -> list[str]:
    """Return the cgroups right below, for the tree that is mounted at `root`."""
    with os.scandir(f"{root}{cgroup}") as entries:
        return sorted(f"{cgroup}/{entry.name}" for entry in entries if entry.is_dir())


def is_to_be_frozen(root: str, cgroup: str) -> bool:
    """Return whether somebody has asked for it to be frozen (cgroup.freeze)."""
    return _read(f"{root}{cgroup}/cgroup.freeze").strip() == "1"


def is_frozen(root: str, cgroup: str) -> bool:
    """Return whether all in it and below has stopped (cgroup.events)."""
    return "frozen 1" in lines(_read(f"{root}{cgroup}/cgroup.events"))


def set_frozen(root: str, cgroup: str, *, frozen: bool) -> None:
    """Ask for it to be frozen or thawed with all below it; returns at once."""
    path = f"{root}{cgroup}/cgroup.freeze"
    with _gone_is_not_found(path), OpenFile(os.open(path, os.O_WRONLY | os.O_CLOEXEC)) as file:
        os.write(file.fd, b"1" if frozen else b"0")


def memory_of(root: str, cgroup: str) -> dict[str, int]:
    """Return the fields of memory.stat that are sizes in bytes, and other counters."""
    stat = (line.partition(" ") for line in lines(_read(f"{root}{cgroup}/memory.stat")))
    return {name: int(number) for name, _, number in stat if number.isdecimal()}


def reclaim(root: str, cgroup: str, size: int, *, files_only: bool) -> None:
    """Reclaim so many bytes from it and all below (memory.reclaim); a signal ends the waiting.

    `files_only`: swap nothing out, where the kernel can be told (68cd9050d871). Raises
    BlockingIOError if less could be had, FileNotFoundError before Linux 5.19.
    """
    path = f"{root}{cgroup}/memory.reclaim"
    with OpenFile(os.open(path, os.O_WRONLY | os.O_CLOEXEC)) as file:
        if files_only:
            try:
                os.write(file.fd, f"{size} swappiness=0".encode())
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
            else:
                return
        os.write(file.fd, str(size).encode())


def _read(path: str) -> str:
    with _gone_is_not_found(path):
        return proc.read(path)


@contextmanager
def _gone_is_not_found(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENODEV:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
        raise
