"""Devices that are there once a program has joined them to the system: servers' disks, arrays."""

import os
import re
from typing import NamedTuple

from linux import attached
from linux.root import Root
from linux.stack import Layer

_LOCAL = ("", "pcie")
"""What an NVMe controller inside the machine says of its transport (nvme_sysfs_show_transport)."""
_ISCSI = ("iscsistart", "iscsid", "iscsiadm")


class Joined(NamedTuple):
    """Such a device, or what it is part of."""

    name: str
    verb: str
    """What is done to it: assemble, connect."""
    programs: tuple[str, ...]
    """One of these does so."""
    is_remote: bool = False
    """Whether the program has to be told where it is."""

    @property
    def is_iscsi(self) -> bool:
        """Whether it is an iSCSI target."""
        return self.programs == _ISCSI


class Array(NamedTuple):
    """An array of md."""

    name: str
    uuid: str = ""
    """32 hex digits, "" where the kernel does not say."""

    @property
    def verb(self) -> str:
        """See Joined."""
        return "assemble"

    @property
    def programs(self) -> tuple[str, ...]:
        """See Joined."""
        return "mdadm", "mdassemble"


def joined(layer: Layer, root: Root) -> Joined | Array | None:
    """Return what has to be joined for a block device to be there, None for nothing."""
    if layer.dm_uuid.startswith("mpath-"):
        return Joined(layer.dm_name, "map", ("multipath", "multipathd"))
    if layer.dm_uuid.startswith("DMRAID-"):
        return Joined(layer.dm_name, "activate", ("dmraid",))
    if found := re.match(r"md(_d)?\d+", layer.name):
        return _array(found[0], root)
    if layer.name.startswith("bcache"):
        return Joined(layer.name, "register", ("bcache-register",))
    if session := attached.iscsi_session(layer.name, root):
        return _by_iscsi(session, root)
    folder = attached.folder_of(layer.name, root)
    if disk := re.search(r"/(rbd\d+)\b", folder):
        return Joined(disk[1], "map", ("rbd",), is_remote=True)
    if disk := re.search(r"/(drbd\d+)\b", folder):
        return Joined(disk[1], "start", ("drbdadm", "drbdsetup"))
    return _by_nvme(layer.name, root)


def _array(name: str, root: Root) -> Array | None:
    folder = f"/sys/class/block/{name}/md"
    if root.line(f"{folder}/metadata_version") == "0.90":
        return None  # which the kernel may assemble by itself (drivers/md/md-autodetect.c)
    return Array(name, root.line(f"{folder}/uuid").replace("-", ""))


def _by_iscsi(session: str, root: Root) -> Joined:
    target = root.line(f"/sys/class/iscsi_session/session{session}/targetname")
    name = target or f"the iSCSI session {session}"
    return Joined(name, "connect", _ISCSI, is_remote=True)


def _by_nvme(name: str, root: Root) -> Joined | None:
    folders = attached.controllers(name, root)
    if not folders or any(root.line(f"{each}/transport") in _LOCAL for each in folders):
        return None
    subsystem = root.line(f"{folders[0]}/subsysnqn")
    name = subsystem or os.path.basename(folders[0])
    return Joined(name, "connect", ("nvme",), is_remote=True)
