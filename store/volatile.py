"""Whether a device keeps what is written to it over a power-off, and can be read after it."""

import os
import re
from collections.abc import Iterator

from errors import Attempt, StoreRefusedError
from linux import stack
from linux.root import HOST, Root
from store import crypttab

VOLATILE = {
    "zram": "compressed memory (zram), which a power-off empties",
    "ram": "a disk in memory, which a power-off empties",
    "loop": "a loop device, which no initramfs sets up",
}
"""By the names of devices without the numbers behind."""


def refuse_volatile(device: str, name: str, root: Root = HOST) -> None:
    """Raise StoreRefusedError if a boot cannot read what is written to the device now.

    That is so of memory, of files, and of what is encrypted with a key of this boot only, below any
    number of other layers. `name` is what the store is called.
    """
    with Attempt("look at", device):
        layers = stack.layers(device, root)
    for reason in _losses(layers, root):
        raise StoreRefusedError(
            f"{name} is {reason}",
            "use swap on a disk, or a store (torpor mkstore); encrypted: with LUKS",
        )


def _losses(layers: list[stack.Layer], root: Root) -> Iterator[str]:
    for layer in layers:
        driver = re.match(r"[a-z]+", layer.name)
        if driver and driver[0] in VOLATILE:
            yield VOLATILE[driver[0]]
        if layer.dm_uuid.startswith("CRYPT-PLAIN-"):
            yield from _lost_key(layer.dm_name, root)


def _lost_key(dm_name: str, root: Root) -> Iterator[str]:
    """Yield why a plain dm-crypt device cannot be opened again; not if crypttab(5) has a key."""
    line = crypttab.parse(root.text(crypttab.PATH) or "").get(crypttab.unmangled(dm_name))
    if line is None:
        yield f"encrypted with a key that {crypttab.PATH} does not name ({dm_name})"
    elif {line.key, os.path.realpath(line.key)} & set(crypttab.RANDOM_KEYS):
        yield f"encrypted with a new random key at each boot ({dm_name} in {crypttab.PATH})"
