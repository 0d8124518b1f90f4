"""Whether an image is as secret as what the machine keeps encrypted: it holds all of the memory."""

from linux import stack
from linux.mounts import MountTable, read_mounts
from linux.root import HOST, Root
from state.sealing import PATH as SEALING
from store.choose import Doubt
from store.find import Found

_ENCRYPTING = ("ecryptfs", "fuse.cryfs", "fuse.encfs", "fuse.gocryptfs", "fuse.securefs")
"""File systems that encrypt what they keep on another one."""


def exposure(store: Found, root: Root = HOST) -> Doubt | None:
    """Return that the store gives away what a mounted file system is to keep, if it does.

    The key of such a file system is in memory; an image that is sealed gives away nothing. That a
    disk encrypts by itself is not known here.
    """
    if root.exists(SEALING) or stack.is_encrypted(store.place.device, root):
        return None
    table = MountTable(read_mounts(root), root)
    for mount in table.mounts:
        layers = table.layers_below(mount)
        if mount.fs_type in _ENCRYPTING or any(layer.is_encrypted for layer in layers):
            return Doubt(
                f"{mount.mount_point} is encrypted, and the store {store.path} is not: an image "
                "there holds its key, and all else that is in memory",
                "put the store on LUKS; see SECURITY CONSIDERATIONS in torpor(8)",
            )
    return None
