"""The first step of the freeze: stops all tasks but helpers, by cgroups.

While the disks are synced nobody makes anything dirty, but what a file system in user space or
over the network waits for still runs.
"""

import contextlib
import mmap
import os
import time
from collections.abc import Collection, Iterator

from hibernate.signals import stop_if_asked
from linux import cgroups, tasks
from linux.kmsg import Log

LIMIT = 10.0
"""Seconds for the tasks to stop; one that waits for a device does not, and is left alone here."""

_POLL = 0.02

HELPERS = {
    "dmeventd": "makes room in thin pools and snapshots of LVM that fill up",
    "gssproxy": "gives rpc.gssd its credentials",
    "iscsid": "connects iSCSI sessions again",
    "iscsiuio": "is the network of iSCSI adapters",
    "multipathd": "brings paths of multipath devices back",
    "nbd-client": "holds the connection of a network block device; stopped, it ends it",
    "nbdkit": "serves network block devices, also to this machine",
    "qemu-nbd": "serves disk images as network block devices",
    "rpc.gssd": "gives NFS its Kerberos tickets",
    "tcmu-runner": "serves SCSI devices in user space",
    "tlshd": "begins TLS for the kernel, when NVMe over TCP or NFS connects again",
    "wpa_supplicant": "keeps the wireless network up",
}
"""Who has to run until the disks are synced, since a file system or block device waits for it: name
of the process, and what for."""

_DEVICES = (
    "/dev/fuse",  # a file system in user space
    "/dev/net/tun",  # a virtual private network, which NFS may run over
    "/dev/ublkc",  # a block device in user space (drivers/block/ublk_drv.c)
)
"""Beginnings of the devices that helpers of any name have open."""

_ROOT = 0
_INIT = 1
"""It feeds the watchdog; systemd's also answers who waits for an automount."""


def to_freeze(root: str, spared: Collection[str]) -> Iterator[str]:
    """Yield the topmost cgroups that hold none of the cgroups `spared`, not even further below.

    Left out are those that somebody else has frozen. A user may nest cgroups as deep as they like.
    """
    waiting = _children(root, "")
    while waiting:
        cgroup = waiting.pop()
        with contextlib.suppress(FileNotFoundError):
            if cgroups.is_to_be_frozen(root, cgroup):
                continue
            if any(name == cgroup or name.startswith(f"{cgroup}/") for name in spared):
                waiting += _children(root, cgroup)
            else:
                yield cgroup


def _children(root: str, cgroup: str) -> list[str]:
    """Return the cgroups right below, the first one last; none where the cgroup is gone."""
    with contextlib.suppress(FileNotFoundError):
        return cgroups.children(root, cgroup)[::-1]
    return []


class Cgroups:
    """The cgroups to stop, chosen before anything is; those that we froze can be thawed.

    As with FileSystems, the watchdog sees in shared memory which ones those are.
    """

    def __init__(self, helpers: Collection[str]) -> None:
        """`helpers` are names of processes to spare besides the known ones."""
        self._root = cgroups.mount_point()
        self._chosen: list[str] = []
        if self._root is not None:
            self._chosen = [*to_freeze(self._root, _cgroups_of(helper_pids(helpers)))]
        self._is_frozen = mmap.mmap(-1, len(self._chosen) + 1)

    def freeze(self, log: Log) -> None:
        """Stop them. What does not stop in time is named in the log. Raises AbortedError."""
        if self._root is None:
            log("no cgroup v2 is mounted: tasks go on while the disks are synced")
            return
        for number, cgroup in enumerate(self._chosen):
            self._is_frozen[number] = 1
            try:
                cgroups.set_frozen(self._root, cgroup, frozen=True)
            except OSError as error:
                self._is_frozen[number] = 0
                if not isinstance(error, FileNotFoundError):
                    log(f"cgroup {cgroup} is not frozen: {error.strerror}")
        if late := self._wait(self._root):
            log(f"tasks have not stopped in {', '.join(late)}")

    def _wait(self, root: str) -> list[str]:
        """Wait until all have stopped; return those that have not when time is over."""
        late = [cgroup for number, cgroup in enumerate(self._chosen) if self._is_frozen[number]]
        deadline = time.monotonic() + LIMIT
        while late := [cgroup for cgroup in late if not _has_stopped(root, cgroup)]:
            if time.monotonic() > deadline:
                break
            stop_if_asked()
            time.sleep(_POLL)
        return late

    def thaw(self) -> None:
        """Let those go on that `freeze` stopped, all of them whatever one says."""
        with contextlib.ExitStack() as last_to_first:
            for number in range(len(self._chosen)):
                if self._is_frozen[number]:
                    last_to_first.callback(self._thaw_one, number)

    def _thaw_one(self, number: int) -> None:
        with contextlib.suppress(FileNotFoundError):
            cgroups.set_frozen(self._root or "", self._chosen[number], frozen=False)
        self._is_frozen[number] = 0


def _cgroups_of(pids: Collection[int]) -> set[str]:
    found = set()
    for pid in pids:
        with contextlib.suppress(OSError):  # it has ended
            found.add(cgroups.cgroup_of(pid))
    return found


def _has_stopped(root: str, cgroup: str) -> bool:
    try:
        return cgroups.is_frozen(root, cgroup)
    except FileNotFoundError:
        return True


def helper_pids(more: Collection[str] = ()) -> set[int]:
    """Return the processes to spare at first: ourselves, init, and all that help.

    `more` are names besides HELPERS, which count for root's processes only: anybody may call one
    multipathd.
    """
    more = {name[: tasks.NAME_SIZE] for name in more}
    return {os.getpid(), _INIT, *(pid for pid in tasks.pids() if _helps(pid, more))}


def _helps(pid: int, more: Collection[str]) -> bool:
    try:
        name = tasks.name_of(pid)
        if name in more or (name in HELPERS and tasks.user_of(pid) == _ROOT):
            return True
        return any(path.startswith(_DEVICES) for path in tasks.open_files(pid))
    except OSError:
        return False  # it has ended
