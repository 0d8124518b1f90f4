"""Whether a device keeps what is written to it over a power-off, and can be read after it."""

import os

from errors import StoreRefusedError, cannot
from linux import stack
from store import crypttab


def refuse_volatile(device: str, name: str) -> None:
    """Raise StoreRefusedError if an image on the device is lost when the machine is off.

    That is so of compressed memory (zram) and of what is encrypted with a key of this boot only,
    below any number of other layers. `name` is what the store is called.
    """
    try:
        layers = stack.layers(device)
    except OSError as error:
        raise cannot("look at", device, error) from error
    for layer in layers:
        if layer.name.startswith("zram"):
            raise StoreRefusedError(
                f"{name} is compressed memory (zram), which a power-off empties",
                "use a swap partition or file on a disk, or a store: torpor mkstore",
            )
        if layer.dm_uuid.startswith("CRYPT-PLAIN-"):
            _check_key(layer.dm_name, name)


def _check_key(dm_name: str, name: str) -> None:
    """Refuse a plain dm-crypt device unless crypttab(5) names a key that lasts."""
    line = _crypttab().get(dm_name)
    if line is None:
        raise StoreRefusedError(
            f"{name} is encrypted with a key that {crypttab.PATH} does not name ({dm_name})",
            "use LUKS, so that the initramfs can open it again",
        )
    if {line.key, os.path.realpath(line.key)} & set(crypttab.RANDOM_KEYS):
        raise StoreRefusedError(
            f"{name} is encrypted with a new random key at each boot ({dm_name} in "
            f"{crypttab.PATH})",
            "use LUKS with a passphrase or a key file that stays",
        )


def _crypttab() -> dict[str, crypttab.Line]:
    try:
        with open(crypttab.PATH, encoding="utf-8", errors="surrogateescape") as file:
            return crypttab.parse(file.read())
    except OSError:
        return {}
