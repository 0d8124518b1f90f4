"""Whether a boot that has gone on has made an image worthless."""

import os
from contextlib import suppress

from errors import ChangedError, DamagedError
from format.reader import ImageReader
from format.records import GUARD
from format.tables import Guard, GuardEntry
from guard.compare import compare
from linux.filesystem import sync_file_system
from linux.mounts import MountTable, file_systems, open_mount, read_mounts
from linux.open_file import OpenFile
from store.locate import node_of_number
from store.protocol import Slot

_SERVED = ("9p", "ceph", "cifs", "nfs", "nfs4", "smb3", "virtiofs")
"""File systems that a machine may have its root on, and that lie on another one."""


def why_stale(slot: Slot) -> str:
    """Return why no boot can restore the image in the slot, "" if one can.

    No device is waited for. Raises UnreadableError, UnsupportedError where it cannot be judged.
    """
    try:
        source, mark = slot.image(), slot.mark()
        if mark and (reason := mark.why_spent()):
            return reason
        guard = ImageReader(source).read(GUARD, Guard)
        if guard is None:
            return "it does not say what it holds mounted"
        _write_out(guard)
        compare(guard, lambda: False)
    except (ChangedError, DamagedError) as error:
        return str(error)
    if _writes_to_a_server():
        return "this boot writes to its root, which is on a server: nothing there can be compared"
    return ""


def _writes_to_a_server() -> bool:
    types = [mount.fs_type for mount in read_mounts() if mount.mount_point == "/"]
    return bool(types) and types[-1] in _SERVED and os.access("/", os.W_OK)


def _write_out(guard: list[GuardEntry]) -> None:
    """Have what is mounted of these written to its devices, where it is compared.

    btrfs, for one, shows nothing there of what it has changed for up to 30 seconds. One to which
    nothing was written, however it is mounted, stays as it was, and its image good.
    """
    sizes = {entry.device_size for entry in guard}
    table = MountTable(read_mounts())
    for mounts in file_systems(table.mounts):
        nodes = [node_of_number(number, table.root) for number in table.devices_below(mounts[0])]
        if sizes.isdisjoint(table.root.device_size(node) for node in nodes if node):
            continue
        for mount in mounts:
            with suppress(OSError), OpenFile(open_mount(mount, 0)) as place:
                sync_file_system(place.fd)
                break
