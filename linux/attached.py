"""How a disk is attached to the machine: by which drivers, and to what (/sys/devices)."""

import os

from linux.root import HOST, Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_CLASS = "/sys/class/block"
_DEVICES = "/sys/devices/"
_NVME = "nvme"
_BY_FIRMWARE = ("qla4xxx", "be2iscsi")
"""Host adapters that log in to iSCSI targets by themselves."""


def folder_of(name: str, root: Root = HOST) -> str:
    """Return where a block device is, below /sys/devices; a partition in that of its disk."""
    return _real(f"{_CLASS}/{name}", root)


def controllers(name: str, root: Root = HOST) -> list[str]:
    """Return the folders of the NVMe controllers of a disk or partition, [] for any other."""
    folder = folder_of(name, root)
    disk = os.path.dirname(folder) if root.exists(f"{folder}/partition") else folder
    name = os.path.basename(disk)
    if not name.startswith(_NVME) or "n" not in name.removeprefix(_NVME):  # nvme0n1, nvme0c1n1
        return []
    above = f"{disk}/device"  # the controller, or with several paths the subsystem that names all
    paths = [f"{above}/{each}" for each in root.names(above) if _is_controller(each)]
    return [_real(path, root) for path in paths or [above]]


def iscsi_session(name: str, root: Root = HOST) -> str:
    """Return the number of the iSCSI session of a disk or partition, "" for any other.

    And for one whose host adapter logs in by itself.
    """
    host = ""
    for part in folder_of(name, root).split("/"):
        number = part.removeprefix("session")
        if host.startswith("host") and number.isdecimal() and number != part:
            driver = root.line(f"/sys/class/scsi_host/{host}/proc_name")
            return "" if driver in _BY_FIRMWARE else number
        host = part
    return ""


def _is_controller(name: str) -> bool:
    return name.startswith(_NVME) and name.removeprefix(_NVME).isdecimal()


def folders_of(name: str, root: Root = HOST) -> list[str]:
    """Return where a block device is, and, of NVMe, where its controllers are."""
    return [folder_of(name, root), *controllers(name, root)]


def modules(name: str, root: Root = HOST) -> list[str]:
    """Return the kernel modules that drive a block device and what it is attached to.

    What is built into the kernel is no module.
    """
    found = (each for folder in folders_of(name, root) for each in _modules(folder, root))
    return list(dict.fromkeys(found))


def _modules(folder: str, root: Root) -> "Iterator[str]":
    while folder.startswith(_DEVICES):
        module = os.path.basename(_real(f"{folder}/driver/module", root))
        if root.exists(f"/sys/module/{module}/initstate"):
            yield module
        folder = os.path.dirname(folder)


def _real(path: str, root: Root) -> str:
    return os.path.realpath(root.path(path)).removeprefix(root.root)
