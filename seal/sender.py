"""Seals the images that this machine writes, without asking anybody."""

import os
from typing import Self
from uuid import UUID

from errors import Attempt, StateError
from format import sodium
from format.sealing import ImageKey, Seal, Sealing
from linux.open_file import read_whole
from seal import recipients, slots
from seal.slots import KeyFileSlot, Slot, read_slots
from state.files import write_bytes
from state.sealing import Trust, read_trust


class Sender:
    """Whose signature this machine's images have, and for whom they are sealed."""

    def __init__(self, seed: bytes, taken: dict[str, Slot]) -> None:
        """Find out what a boot will need. Raises StateError without a slot, and as `found`."""
        if not taken:
            raise StateError("sealing is on, and nobody could open an image: add a key")
        self._seed = seed
        self._slots = {
            name: slot.found() if isinstance(slot, KeyFileSlot) else slot
            for name, slot in taken.items()
        }

    @classmethod
    def here(cls) -> Self | None:
        """Return what seals this machine's images, None where sealing is off.

        Raises ConfigurationError, StateError, UnreadableError, and as the constructor.
        """
        trust = read_trust()
        return None if trust is None else cls(read_seed(trust), read_slots())

    @property
    def names(self) -> str:
        """The names of the slots, for a message."""
        return ", ".join(self._slots)

    def sealing(self, image_uuid: UUID) -> Sealing:
        """Return what seals an image, with a key that is made now.

        To be called once the snapshot is taken: what is in that needs no key in memory.
        """
        key = ImageKey.new(image_uuid)
        to = [slot.wrap(bytes(key.secret)) for slot in self._slots.values()]
        seal = Seal(sodium.signer_of(self._seed), 0, 0, recipients.build(to))
        return Sealing(key, seal, self._sign)

    def _sign(self, superblock: bytes) -> bytes:
        return sodium.sign(self._seed, superblock)


def new_seed(path: str | None = None) -> Trust:
    """Make a new sender; return how a boot knows it. Raises UnreadableError."""
    seed = os.urandom(sodium.KEY_SIZE)
    write_bytes(path or slots.SENDER, seed)
    return Trust(sodium.signer_of(seed))


def read_seed(trust: Trust, path: str | None = None) -> bytes:
    """Return the sender's secret. Raises UnreadableError, StateError if it is not the trusted."""
    path = path or slots.SENDER
    with Attempt("read", path):
        seed = read_whole(path, sodium.KEY_SIZE)
    if len(seed) != sodium.KEY_SIZE or sodium.signer_of(seed) != trust.sender:
        raise StateError(f"no boot would restore what {path} signs: it is not what sealing trusts")
    return seed
