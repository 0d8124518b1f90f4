"""Block devices that stop for good when the machine is frozen: it serves them itself.

Nothing that has to be read or written from then on may lie on one: no signal ends such a wait. One
table for stores, swap and file systems. A loop device is no line of it: for a file system it
suffices to stop before the one that holds the file, and a store is refused anyway.

The kernel alone serves disks of iSCSI and NVMe over TCP while all is frozen. No connection outlives
the power-off, though: the restored machine has to connect them again.
"""

import re
from collections.abc import Iterator

from linux import attached
from linux.root import Root
from store.reached import why_not_reached

_CLASS = "/sys/class/block"

SERVERS = (
    (r"/ublkb\d", "a process serves it (ublk)"),
    (r"/vduse/", "a process serves it (VDUSE)"),
    # Maybe from a file, or by a process behind it (drivers/target).
    (r"/tcm_loop", "it is served by this machine's own SCSI target"),
)
"""By the place of a device in /sys/devices."""

_LOOP = "::1"
"""Stands for the address of NVMe's loop transport, which has none."""


def why_served(name: str, root: Root) -> str:
    """Return who serves the block device and stops when all is frozen, "" if nobody does.

    Or why it cannot be connected again afterwards.
    """
    folder = attached.folder_of(name, root)
    for pattern, why in SERVERS:
        if re.search(pattern, folder):
            return why
    if disk := re.search(r"/(nbd\d+)", folder):
        return _why_nbd(disk[1], root)
    found = (why_not_reached(each, root) for each in _addresses(name, folder, root))
    return next(filter(None, found), "") or _why_lost(name, root)


def connects_again(name: str, root: Root) -> str:
    """Return the process that has to connect the disk again in the restored machine, "" for none.

    For iSCSI that is iscsid. NVMe over TCP the kernel connects, but tlshd makes TLS of it
    (Documentation/networking/tls-handshake.rst).
    """
    if attached.iscsi_session(name, root):
        return "iscsid"
    folders = attached.controllers(name, root)
    # There with TLS only (nvme_tls_attrs_are_visible in drivers/nvme/host/sysfs.c).
    return "tlshd" if any(root.exists(f"{each}/tls_key") for each in folders) else ""


def _why_nbd(disk: str, root: Root) -> str:
    """Return why there is no such disk any more when all is frozen, or in the restored machine.

    A client that waits in NBD_DO_IT ends the connection when it is frozen (nbd_start_device_ioctl
    in drivers/block/nbd.c). One that used netlink has ended since, and nobody connects again.
    """
    pid = root.line(f"{_CLASS}/{disk}/pid")
    client = pid and root.line(f"/proc/{pid}/comm")
    if client:
        return f"{client} (process {pid}) serves it"
    return "no process connects it again afterwards (NBD)"


def _addresses(name: str, folder: str, root: Root) -> Iterator[str]:
    """Yield where the servers of a disk or partition are: of iSCSI, and of NVMe over fabrics."""
    for session in re.findall(r"/session(\d+)/", folder):
        yield root.line(f"/sys/class/iscsi_connection/connection{session}:0/address")
    for each in attached.controllers(name, root):
        if root.line(f"{each}/transport") == "loop":
            yield _LOOP
        yield from re.findall(r"\btraddr=([^,]+)", root.line(f"{each}/address"))


def _why_lost(name: str, root: Root) -> str:
    helper = connects_again(name, root)
    if not helper or helper in (root.line(f"/proc/{each}/comm") for each in _pids(root)):
        return ""
    return f"{helper}, which has to connect it again afterwards, does not run: start it"


def _pids(root: Root) -> Iterator[str]:
    return filter(str.isdecimal, root.names("/proc"))
