"""Seals the images that this machine writes, without asking anybody."""

import os
from contextlib import ExitStack, suppress
from typing import Self
from uuid import UUID

from errors import (
    LockedError,
    NoCounterError,
    StateError,
    TorporError,
    TpmRefusedError,
    UnreadableError,
)
from format import sodium
from format.sealing import ImageKey, Seal, Sealing
from seal import pending, recipients, slots
from seal.slots import Keys, Ready, read_keys, write_keys
from seal.tpm import Tpm
from state.files import read_bytes, write_bytes
from state.sealing import Trust, read_trust

_ANEW = "make all keys anew: torpor key rotate"


class Sender:
    """Whose signature this machine's images have, and for whom they are sealed."""

    def __init__(self, seed: bytes, keys: Keys, tpm: Tpm) -> None:
        """Find out what a boot will need, and count this image in the TPM.

        A slot that is not ready is left out if another one is. Raises StateError if none is.
        """
        self._seed, self._keys, self._tpm = seed, keys, tpm
        self._ready: dict[str, Ready] = {}
        self.troubles: list[str] = []
        """Why a slot is left out, or the counter."""
        for name, slot in keys.slots.items():
            try:
                self._ready[name] = slot.ready(tpm)
            except TorporError as error:
                self.troubles.append(f"the image is not sealed for {name}: {error}")
        if not self._ready:
            why = "; ".join(self.troubles) or "add a key: torpor key add"
            raise StateError(f"sealing is on, and nobody could open an image: {why}")
        self._counter = self._counted(keys.counter)

    def _counted(self, index: int) -> tuple[int, int]:
        """Return the counter that tells a boot whether this image is the newest, and its value.

        From then on the image may be out; see seal.pending.
        """
        if not index:
            return 0, 0
        try:
            with pending.alone():
                number = self._tpm.increment(index)
                try:
                    pending.note(index, number)
                except UnreadableError as error:
                    self.troubles.append(f"a boot that misses the image will not spend it: {error}")
            return index, number
        except (LockedError, UnreadableError) as error:
            self.troubles.append(f"a copy of the disk will not be told from it: {error}")
            return 0, 0

    @staticmethod
    def came_back() -> None:
        """Forget the image: the machine goes on, restored or not. Raises UnreadableError."""
        pending.forget()

    @classmethod
    def here(cls) -> Self | None:
        """Return what seals this machine's images, None where sealing is off.

        Raises ConfigurationError, StateError, UnreadableError, and as the constructor.
        """
        trust = read_trust()
        if trust is None:
            return None
        seed, keys, tpm = read_seed(trust), read_keys(), Tpm()
        counted = _counted_anew(keys, tpm)
        sender = cls(seed, counted or keys, tpm)
        if counted:
            sender.troubles.append(
                "the TPM's counter was gone, since the TPM was cleared or somebody took it away: "
                "a new one counts"
            )
        return sender

    def again(self) -> Self:
        """Return what seals one more image: the secrets in the TPM wrap one key each.

        Raises as the constructor.
        """
        return type(self)(self._seed, self._keys, self._tpm)

    @property
    def names(self) -> str:
        """The names of the slots, for a message."""
        return ", ".join(self._ready)

    def sealing(self, image_uuid: UUID) -> Sealing:
        """Return what seals the one image, with a key that is made now.

        To be called once the snapshot is taken: what is in that needs no key in memory.
        """
        key = ImageKey.new(image_uuid)
        to = [slot.wrap(bytes(key.secret)) for slot in self._ready.values()]
        seal = Seal(sodium.signer_of(self._seed), *self._counter, recipients.build(to))
        return Sealing(key, seal, self._sign)

    def _sign(self, superblock: bytes) -> bytes:
        return sodium.sign(self._seed, superblock)


def _counted_anew(keys: Keys, tpm: Tpm) -> Keys | None:
    """Have the TPM count anew if its counter is of no use; return the keys then.

    Else whoever took it away while the machine was off could put back copies from then on. Raises
    UnreadableError.
    """
    with suppress(LockedError):  # who seals by it says why
        try:
            if keys.counter:
                tpm.read_counter(keys.counter)
        except (NoCounterError, TpmRefusedError):
            counted = keys._replace(counter=tpm.new_counter())
            with ExitStack() as undo:
                undo.callback(tpm.remove_counter, counted.counter)
                write_keys(counted)
                undo.pop_all()
            return counted
    return None


def new_seed(path: str) -> bytes:
    """Make a new sender; return its public key. Raises UnreadableError."""
    seed = os.urandom(sodium.KEY_SIZE)
    write_bytes(path, seed)
    return sodium.signer_of(seed)


def read_seed(trust: Trust, path: str | None = None) -> bytes:
    """Return the sender's secret. Raises UnreadableError, StateError if it is not the trusted."""
    path = path or slots.SENDER
    seed = read_bytes(path, sodium.KEY_SIZE)
    if seed is None:
        raise StateError(f"there is no {path}, which signs the images", _ANEW)
    if len(seed) != sodium.KEY_SIZE or sodium.signer_of(seed) != trust.sender:
        raise StateError(
            f"no boot would restore what {path} signs: it is not what sealing trusts", _ANEW
        )
    return seed
