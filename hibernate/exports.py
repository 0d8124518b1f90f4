"""Block devices that the kernel serves to other machines: its threads write on, nothing stops them.

A file that is served so lies on a file system, which is frozen.
"""

import re
from collections.abc import Iterator

from linux.root import Root

_SCSI = "/sys/kernel/config/target/core"
_NVME = "/sys/kernel/config/nvmet/subsystems"

_PATH = r"(?:File|UDEV PATH): (.+?)  "
"""What `info` says of a backstore: fd_show_configfs_dev_params and iblock_show_configfs_dev_params
in drivers/target."""


def exports(root: Root) -> Iterator[tuple[str, str]]:
    """Yield the path of each such device, and what serves it."""
    for path in _backstores(root):
        if root.device_number(path):
            yield path, "the kernel's SCSI target"
    for subsystem in root.names(_NVME):
        folder = f"{_NVME}/{subsystem}"
        for name in root.names(f"{folder}/namespaces"):
            if root.device_number(path := _served_by(f"{folder}/namespaces/{name}", root)):
                yield path, "the kernel's NVMe target"
        if path := _served_by(f"{folder}/passthru", root):  # a controller, with all that is on it
            yield path, "the kernel's NVMe target"


def _backstores(root: Root) -> Iterator[str]:
    for backend in root.names(_SCSI):
        for name in root.names(f"{_SCSI}/{backend}"):
            folder = f"{_SCSI}/{backend}/{name}"
            if root.line(f"{folder}/enable") == "1":
                yield from re.findall(_PATH, root.text(f"{folder}/info") or "")


def _served_by(folder: str, root: Root) -> str:
    """Return the path that is served (drivers/nvme/target/configfs.c), "" if nothing is."""
    return root.line(f"{folder}/device_path") if root.line(f"{folder}/enable") == "1" else ""
