"""The guard of swap and stores: which one lies there, not what is on it.

swapon leaves no trace, and the image itself is written there. But a restored kernel goes on to swap
to the device of then, and Torpor clears its mark there: it has to be the same one.
"""

import hashlib

from format import PAGE_SIZE
from format.first_page import SWAP, USER_IMAGE, FirstPage
from guard.device import Read

_FIELDS, _UUID = slice(1024, 1052), slice(1036, 1052)
"""Version, last page, number of bad pages, UUID (include/linux/swap.h, union swap_header)."""


def identify(read: Read) -> bytes | None:
    """Return the UUID of a swap area or a store, zeros where it has none; None for all else."""
    data = read(0, PAGE_SIZE)
    return data[_UUID] if FirstPage(data).signature in (SWAP, USER_IMAGE) else None


def fingerprint(read: Read, _size: int) -> bytes:
    """Return a SHA-256 of what mkswap or mkstore wrote, and nobody changes later."""
    return hashlib.sha256(read(0, PAGE_SIZE)[_FIELDS]).digest()
