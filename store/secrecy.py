"""Whether an image is as secret as what the machine keeps encrypted: it holds all of the memory."""

import os
from collections.abc import Iterator
from contextlib import suppress

from errors import Attempt, DeviceNotFoundError, StoreRefusedError
from linux import stack
from linux.mounts import Mount, MountTable, active_swaps, read_mounts
from linux.open_file import OpenFile
from linux.root import HOST, Root
from state.sealing import PATH as SEALING
from store.choose import Doubt
from store.find import Found, place_of_area
from store.locate import node_of_number
from store.place import mount_of, refuse_volatile

_ENCRYPTING = ("ecryptfs", "fuse.cryfs", "fuse.encfs", "fuse.gocryptfs", "fuse.securefs")
"""File systems that encrypt what they keep on another one."""


def exposure(store: Found, root: Root = HOST) -> Doubt | None:
    """Return that the store gives away what a mounted file system is to keep, if it does.

    The key of such a file system is in memory; an image that is sealed gives away nothing. That a
    disk encrypts by itself is not known here.
    """
    if root.exists(SEALING) or is_encrypted(store, root):
        return None
    for mount in encrypted(root):
        return Doubt(
            f"{mount.mount_point} is encrypted, and the store {store.path} is not: an image "
            "there holds its key, and all else that is in memory",
            "have images sealed: torpor enable --seal passphrase; torpor(8) has other keys. Or "
            "put the store on LUKS",
        )
    return None


def is_encrypted(store: Found, root: Root = HOST) -> bool:
    """Return whether what is written there is encrypted: a server gets sealed images alone."""
    return store.place is None or stack.is_encrypted(store.place.device, root)


def remains(store: Found, root: Root = HOST) -> Doubt | None:
    """Return that images of before may still lie in the store, for when sealing is switched on."""
    if is_encrypted(store, root):
        return None
    return Doubt(
        f"what images left on {store.path} before is still in the clear",
        "overwrite it once: see SECURITY CONSIDERATIONS in torpor(8)",
    )


def plain_swap(root: Root = HOST) -> Doubt | None:
    """Return that what a machine swaps out lies in the clear where its images are sealed.

    Not where nothing that is mounted is encrypted: the root says the same then.
    """
    if not root.exists(SEALING) or not any(True for _ in encrypted(root)):
        return None
    for area in active_swaps(root):
        with suppress(StoreRefusedError, DeviceNotFoundError):  # memory, or a file that is gone
            device = place_of_area(area, root).device
            refuse_volatile(device, area.path, root)
            if not stack.is_encrypted(device, root):
                return Doubt(
                    f"images are sealed, and the swap {area.path} is not encrypted: who has the "
                    "disk reads and changes there what programs have swapped out",
                    "put the swap on LUKS, or use zram and a store of its own: torpor mkstore",
                )
    return None


def encrypted(root: Root = HOST) -> Iterator[Mount]:
    """Yield the mounts of what is encrypted."""
    table = MountTable(read_mounts(root), root)
    for mount in table.mounts:
        layers = table.layers_below(mount)
        if mount.fs_type in _ENCRYPTING or any(layer.is_encrypted for layer in layers):
            yield mount


def is_in_the_clear(path: str, root: Root = HOST) -> bool:
    """Return whether who has the disk reads this file: nothing below its file system encrypts.

    False where the file system is on no block device: nothing is known then. Raises
    UnreadableError.
    """
    with Attempt("open", path):
        file = OpenFile(os.open(root.path(path), os.O_RDONLY | os.O_CLOEXEC))
    try:
        with file:
            mount = mount_of(file.fd, path, root)
    except StoreRefusedError:
        return False
    numbers = MountTable([mount], root).devices_below(mount)
    nodes = [node for number in numbers if (node := node_of_number(number, root))]
    is_encrypted = all(stack.is_encrypted(node, root) for node in nodes)
    return mount.fs_type not in _ENCRYPTING and not is_encrypted
