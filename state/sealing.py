"""Whether sealing is on: whose images a boot restores, none but those that this machine sealed.

/var/lib/torpor/sealing has a copy in the initramfs, by the hooks. Every boot with an image reads
it; who can change it can change the program beside it as well.
"""

from errors import ConfigurationError
from state.files import read_text, values_in

PATH = "/var/lib/torpor/sealing"
UNFINISHED = "/var/lib/torpor/sealing.unfinished"
"""There while the initramfs may trust another sender than that file does."""
NEW_KEYS = "make new keys: torpor enable --seal off; torpor enable --seal passphrase"
"""What mends a file of sealing that is damaged."""
_HEAD = "# Written by torpor enable; the initramfs holds a copy.\n"
_ANSWERS = {True: "yes", False: "no"}
_DIGITS = 64


class Trust:
    """Who seals the images of this machine, and what a boot needs to open them."""

    def __init__(self, sender: bytes, *, needs_tpm: bool = False, asks: bool = False) -> None:
        self.sender = sender
        """Public key of Ed25519."""
        self.needs_tpm = needs_tpm
        """Whether a TPM may give the key of an image."""
        self.asks = asks
        """Whether a passphrase or PIN may."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Trust) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def parse(cls, text: str, name: str) -> "Trust":
        """Return what the file says. Raises ConfigurationError with `name`."""
        values = values_in(text)
        digits = values.get("sender", "")
        if len(digits) != _DIGITS or digits.strip("0123456789abcdef"):
            raise ConfigurationError(
                f"{name} does not say who seals the images of this machine",
                NEW_KEYS,
            )
        tpm, asks = (values.get(key) == "yes" for key in ("tpm2", "ask"))
        return cls(bytes.fromhex(digits), needs_tpm=tpm, asks=asks)

    def build(self) -> str:
        """Return the file's text."""
        tpm, asks = _ANSWERS[self.needs_tpm], _ANSWERS[self.asks]
        return f"{_HEAD}sender={self.sender.hex()}\ntpm2={tpm}\nask={asks}\n"


def is_on() -> bool:
    """Return whether a boot restores only what this machine sealed. Raises UnreadableError."""
    return read_text(PATH) is not None


def read_trust(path: str | None = None) -> Trust | None:
    """Return whom a boot trusts, None where sealing is off.

    Raises ConfigurationError, UnreadableError: then nobody is trusted.
    """
    path = path or PATH
    text = read_text(path)
    return None if text is None else Trust.parse(text, path)
