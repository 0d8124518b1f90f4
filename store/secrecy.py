"""Whether an image is as secret as what the machine keeps encrypted: it holds all of the memory."""

from collections.abc import Iterator
from contextlib import suppress

from errors import DeviceNotFoundError, StoreRefusedError
from linux import stack
from linux.mounts import Mount, MountTable, active_swaps, read_mounts
from linux.root import HOST, Root
from state.sealing import PATH as SEALING
from store.choose import Doubt
from store.find import Found, place_of_area
from store.place import refuse_volatile

_ENCRYPTING = ("ecryptfs", "fuse.cryfs", "fuse.encfs", "fuse.gocryptfs", "fuse.securefs")
"""File systems that encrypt what they keep on another one."""


def exposure(store: Found, root: Root = HOST) -> Doubt | None:
    """Return that the store gives away what a mounted file system is to keep, if it does.

    The key of such a file system is in memory; an image that is sealed gives away nothing. That a
    disk encrypts by itself is not known here.
    """
    if root.exists(SEALING) or stack.is_encrypted(store.place.device, root):
        return None
    for mount in _encrypted(root):
        return Doubt(
            f"{mount.mount_point} is encrypted, and the store {store.path} is not: an image "
            "there holds its key, and all else that is in memory",
            "put the store on LUKS; see SECURITY CONSIDERATIONS in torpor(8)",
        )
    return None


def plain_swap(root: Root = HOST) -> Doubt | None:
    """Return that what a machine swaps out lies in the clear where its images are sealed.

    Not where nothing that is mounted is encrypted: the root says the same then.
    """
    if not root.exists(SEALING) or not any(True for _ in _encrypted(root)):
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


def _encrypted(root: Root) -> Iterator[Mount]:
    """Yield the mounts of what is encrypted."""
    table = MountTable(read_mounts(root), root)
    for mount in table.mounts:
        layers = table.layers_below(mount)
        if mount.fs_type in _ENCRYPTING or any(layer.is_encrypted for layer in layers):
            yield mount
