"""Where a disk hangs in the machine: what the driver in a restored kernel goes on to address.

That kernel keeps its devices: the PCI function, the port, the target and LUN, the namespace. A disk
that was plugged in elsewhere is not found again by what is on it; another one in its place is
written to. So a place is the path in /sys/devices without what is given by chance at each boot:

- Names of disks, the host's number in SCSI addresses, a card's address on MMC.
- Numbers that count what the drivers found, in all the machine (ata3, host2, usb1, mmc0, virtio5,
  nvme0): which of those with one parent it is says the same.
- Numbers of PCI's buses below the root's: a bridge takes the next one that is free, and a restored
  kernel gives it its own again (pci_restore_config_space). The slots of all bridges tell.
- Numbers of targets whose drivers count what they find, and then know by its own name: iSCSI, Fibre
  Channel, SAS (drivers/scsi/scsi_transport_*.c), and NVMe over fabrics.
"""

import os
import re

from linux.attached import controllers, folder_of
from linux.root import Root

_DEVICES = "/sys/devices/"

_COUNTED = re.compile(r"(ata|host|mmc|nvme|usb|virtio)(\d+)")
_CHANCE = re.compile(r"block|target[\d:]+|mmc\d+:[0-9a-f]+|mmcblk\d+")
_ADDRESSES = (
    (re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:([0-9a-f]{2}\.\d)"), r"\1"),
    # A bus of Intel's VMD: a domain that no firmware knows (drivers/pci/controller/vmd.c).
    (re.compile(r"pci[0-9a-f]{5,}:([0-9a-f]{2})"), r"pci:\1"),
    (re.compile(r"\d+-(\d+(?:\.\d+)*(?::\d+\.\d+)?)"), r"\1"),  # USB: ports, interface
    (re.compile(r"\d+:(\d+:\d+:\d+)"), r"\1"),  # SCSI: channel, target, LUN
)

_NAMED = re.compile(
    r"(.*?)/host\d+/(?:.*/)?((session|rport|end_device)[-:\d]+)/target[\d:]+/(?:\d+:){3}(\d+)/"
)
_NAME = {
    "session": "/sys/class/iscsi_session/{}/targetname",
    "rport": "/sys/class/fc_remote_ports/{}/port_name",
    "end_device": "/sys/class/sas_device/{}/sas_address",
}
_FABRICS = "/nvme-fabrics/ctl"


def place_of(name: str, root: Root) -> str:
    """Return the place of a whole disk, by its name in /sys/class/block."""
    folder = folder_of(name, root)
    if above := controllers(name, root):  # one, or with several paths all of them
        places = sorted({_place(each, root) for each in above})
        return f"{' '.join(places)} namespace {root.line(f'{folder}/nsid')}"
    if found := _NAMED.match(folder):
        host, target, kind, lun = found.groups()
        return f"{_place(host, root)}/{root.line(_NAME[kind].format(target))}/{lun}"
    return _place(os.path.dirname(folder), root)


def _place(folder: str, root: Root) -> str:
    before, _, path = folder.partition(_DEVICES)
    above, parts = f"{before}{_DEVICES}".rstrip("/"), []
    for part in filter(None, path.split("/")):
        parts.append(_lasting(part, above, root))
        above = f"{above}/{part}"
    return "/".join(filter(None, parts))


def _lasting(part: str, above: str, root: Root) -> str:
    """Return what is the same at each boot of a part of the path, whose parent's is `above`."""
    if above.endswith(_FABRICS):
        return root.line(f"{above}/{part}/subsysnqn")
    if found := _COUNTED.fullmatch(part):
        kind, number = found[1], int(found[2])
        others = filter(None, map(_COUNTED.fullmatch, root.names(above)))
        return f"{kind}#{sum(o[1] == kind and int(o[2]) < number for o in others)}"
    if _CHANCE.fullmatch(part):
        return ""
    for pattern, what in _ADDRESSES:
        if pattern.fullmatch(part):
            return pattern.sub(what, part)
    return part
