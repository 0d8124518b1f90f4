"""A machine that seals: its sender, its keys, and somebody who types at its boots."""

from pathlib import Path

from format import sodium
from seal.sender import Sender
from seal.slots import Keys, PassphraseSlot, Slot, new_passphrase_slot
from seal.tpm import Tpm
from state import sealing
from state.sealing import Trust

SEED = bytes(range(32))
PASSPHRASE = b"correct horse"
MEMORY = 1 << 17
"""KiB: as little as may be, so that Argon2id takes 20 ms."""


def passphrase_slot(passphrase: bytes = PASSPHRASE) -> PassphraseSlot:
    return new_passphrase_slot(passphrase, MEMORY)


def sender(*taken: Slot, seed: bytes = SEED) -> Sender:
    """Return what seals images for these slots."""
    keys = Keys({str(nth): slot for nth, slot in enumerate(taken)})
    return Sender(seed, keys, Tpm("device:/nonexistent/tpm"))


class Typist:
    """Stands in for seal.ask.Asking: types these, one after another."""

    def __init__(self, *typed: bytes) -> None:
        self.typed = [*typed]
        self.asked: list[str] = []

    def passphrases(self, prompt: str) -> list[bytes]:
        self.asked.append(prompt)
        return [self.typed.pop(0)] if self.typed else []

    def pin(self, prompt: str) -> bytes | None:
        return next(iter(self.passphrases(prompt)), None)


def trusted(seed: bytes = SEED, *, asks: bool = True, needs_tpm: bool = False) -> None:
    """Have the next boot trust this sender."""
    path = Path(sealing.PATH)
    path.parent.mkdir(exist_ok=True)
    path.write_text(Trust(sodium.signer_of(seed), asks=asks, needs_tpm=needs_tpm).build())
