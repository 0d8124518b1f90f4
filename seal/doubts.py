"""How a session may be lost or an image forged, although images can be sealed."""

from collections.abc import Iterator

from errors import command
from linux.root import HOST, Root
from seal.slots import SENDER, Keys, by_tpm
from store.choose import Doubt
from store.secrecy import is_in_the_clear


def doubts(keys: Keys, root: Root = HOST) -> Iterator[Doubt]:
    """Yield what is to be said of these keys, and of where the sender's lies.

    Raises UnreadableError.
    """
    if keys.slots and all(map(by_tpm, keys.slots.values())):
        yield Doubt(
            "only the TPM opens an image: if the firmware is updated or the TPM cleared while the "
            "machine is off, the session is lost",
            f"add a passphrase: {command('torpor', 'key', 'add', 'passphrase')}",
        )
    if is_in_the_clear(SENDER, root):
        yield Doubt(
            f"{SENDER} is on a file system that is not encrypted: who has the disk can sign an "
            "image that a boot restores",
            "encrypt the root file system",
        )
