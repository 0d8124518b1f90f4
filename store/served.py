"""Block devices that stop for good when the machine is frozen: it serves them itself.

Nothing that has to be read or written from then on may lie on one: no signal ends such a wait. One
table for stores, swap and file systems. A loop device is no line of it: for a file system it
suffices to stop before the one that holds the file, and a store is refused anyway.
"""

import os
import re
from collections.abc import Iterator

from linux.root import Root

_CLASS = "/sys/class/block"

SERVERS = (
    # Frozen, it ends the connection (nbd_start_device_ioctl in drivers/block/nbd.c).
    (r"/nbd\d", "nbd-client serves it"),
    (r"/ublkb\d", "a process serves it (ublk)"),
    (r"/vduse/", "a process serves it (VDUSE)"),
    # Maybe from a file, or by a process behind it (drivers/target).
    (r"/tcm_loop", "it is served by this machine's own SCSI target"),
)
"""By the place of a device in /sys/devices."""

_OWN = "this machine serves it to itself"


def why_served(name: str, root: Root) -> str:
    """Return who serves the block device and stops when all is frozen, "" if nobody does."""
    folder = os.path.realpath(root.path(f"{_CLASS}/{name}")).removeprefix(root.root)
    for pattern, why in SERVERS:
        if re.search(pattern, folder):
            return why
    return _OWN if any(_is_own(each, root) for each in _addresses(folder, root)) else ""


def _addresses(folder: str, root: Root) -> Iterator[str]:
    """Yield where the servers of a disk or partition are: of iSCSI, and of NVMe over fabrics."""
    for session in re.findall(r"/session(\d+)/", folder):
        yield root.line(f"/sys/class/iscsi_connection/connection{session}:0/address")
    if not re.search(r"/nvme\d+(c\d+)?n\d+", folder):
        return
    disk = f"{folder}/.." if root.exists(f"{folder}/partition") else folder
    # The controller, or with several paths the subsystem that names all.
    above = f"{disk}/device"
    for name in ("", *root.names(above)):
        if not name or re.fullmatch(r"nvme\d+", name):
            if root.line(f"{above}/{name}/transport") == "loop":
                yield "::1"
            yield from re.findall(r"\btraddr=([^,]+)", root.line(f"{above}/{name}/address"))


def _is_own(address: str, root: Root) -> bool:
    """Return whether an address of IPv4 or IPv6 is one of this machine."""
    from ipaddress import ip_address  # for disks on the network only

    try:
        found = ip_address(address.strip("[]"))
    except ValueError:
        return False  # of another kind of network
    if found.version == 6 and found.ipv4_mapped:
        found = found.ipv4_mapped
    if found.version == 4:
        own = re.findall(r"\|-- (\S+)\n\s*/32 host LOCAL", root.text("/proc/net/fib_trie") or "")
        return found.is_loopback or str(found) in own
    own = re.findall(r"^\S{32}", root.text("/proc/net/if_inet6") or "", re.MULTILINE)
    return found.is_loopback or found.packed.hex() in own
