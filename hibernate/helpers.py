"""Who has to run until the disks are synced: what a file system or block device waits for."""

import os
from collections.abc import Collection

from linux import tasks

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
    "wpa_supplicant": "keeps the wireless network up",
}
"""Name of the process, and what for."""

_DEVICES = (
    "/dev/fuse",  # a file system in user space
    "/dev/net/tun",  # a virtual private network, which NFS may run over
    "/dev/ublkc",  # a block device in user space (drivers/block/ublk_drv.c)
)
"""Beginnings of the devices that helpers of any name have open."""

_INIT = 1
"""It feeds the watchdog; systemd's also answers who waits for an automount."""


def helper_pids(more: Collection[str] = ()) -> set[int]:
    """Return the processes to spare at first: ourselves, init, and all that help.

    `more` are names besides HELPERS.
    """
    names = {name[: tasks.NAME_SIZE] for name in (*HELPERS, *more)}
    return {os.getpid(), _INIT, *(pid for pid in tasks.pids() if _helps(pid, names))}


def _helps(pid: int, names: Collection[str]) -> bool:
    try:
        if tasks.name_of(pid) in names:
            return True
        return any(path.startswith(_DEVICES) for path in tasks.open_files(pid))
    except OSError:
        return False  # it has ended
