"""X25519 keys in the text of age(1), and the key of an image wrapped for one of them.

The text is that of age's specification (C2SP age.md, "The X25519 recipient type"): Bech32
(BIP 173), with the prefixes age and AGE-SECRET-KEY-. So is the wrapping, but for its label: an
image is no file of age's, and its key has 32 bytes.
"""

import hashlib
import hmac
import os
from typing import NamedTuple

from errors import ConfigurationError
from format import sodium
from format.checksum import Buffer

_LABEL = b"torpor/v2/X25519"
_CHARACTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
RECIPIENT, IDENTITY = "age", "age-secret-key-"
_CHECK = 6
"""Characters of the checksum."""


class Wrapped(NamedTuple):
    """A secret that only the private key of a recipient gives back."""

    recipient: bytes
    """Public key."""
    share: bytes
    """The public key that was made for this only."""
    secret: bytes
    """Encrypted, sodium.WRAP_SIZE bytes longer."""


def wrap(recipient: bytes, secret: bytes) -> Wrapped:
    """Wrap a secret for a public key. Raises ConfigurationError for one that is no key."""
    own = os.urandom(sodium.KEY_SIZE)
    share = sodium.public_of(own)
    key = _wrap_key(sodium.shared(own, recipient), share, recipient)
    if key is None:
        raise ConfigurationError(f"{recipient_text(recipient)} is no key that can be used")
    return Wrapped(recipient, share, sodium.wrap(key, secret))


def unwrap(identity: Buffer, wrapped: Wrapped) -> bytearray | None:
    """Return the secret that was wrapped for the public key of `identity`, None if none was."""
    shared = sodium.shared(identity, wrapped.share)
    key = _wrap_key(shared, wrapped.share, sodium.public_of(identity))
    return sodium.unwrap(key, wrapped.secret) if key else None


def _wrap_key(shared: bytes | None, share: bytes, recipient: bytes) -> bytes | None:
    """Return HKDF-SHA-256 (RFC 5869) of what the two keys share, with the one block it takes."""
    if shared is None:
        return None
    extracted = hmac.digest(share + recipient, shared, hashlib.sha256)
    return hmac.digest(extracted, _LABEL + b"\1", hashlib.sha256)


def new_identity() -> bytes:
    """Return a new private key."""
    return os.urandom(sodium.KEY_SIZE)


def recipient_text(recipient: bytes) -> str:
    """Return a public key in the text of age, age1 and so on."""
    return _encode(RECIPIENT, recipient)


def identity_text(identity: bytes) -> str:
    """Return a private key in that text, AGE-SECRET-KEY-1 and so on."""
    return _encode(IDENTITY, identity).upper()


def parse_recipient(text: str) -> bytes:
    """Return the public key. Raises ConfigurationError."""
    return _decode(RECIPIENT, text, "a recipient begins with age1 and has 62 characters")


def parse_identity(text: str) -> bytes:
    """Return the private key in a file of age's: the one line that is no comment.

    Raises ConfigurationError, which says nothing of what the lines hold.
    """
    lines = [line.strip() for line in text.splitlines()]
    found = [line for line in lines if line and not line.startswith("#")]
    if len(found) != 1:
        raise ConfigurationError(f"a file with one identity has one line for it, not {len(found)}")
    return _decode(IDENTITY, found[0], "an identity begins with AGE-SECRET-KEY-1")


def _encode(prefix: str, data: bytes) -> str:
    digits = _regroup(data, 8, 5)
    check = _polymod([*_expanded(prefix), *digits, *[0] * _CHECK]) ^ 1
    digits += [check >> 5 * (_CHECK - 1 - at) & 31 for at in range(_CHECK)]
    return f"{prefix}1" + "".join(_CHARACTERS[digit] for digit in digits)


def _decode(prefix: str, text: str, wrong: str) -> bytes:
    found, one, rest = text.lower().rpartition("1")
    is_text = text in (text.lower(), text.upper()) and found == prefix and one
    digits = [_CHARACTERS.find(character) for character in rest]
    if not is_text or -1 in digits or _polymod([*_expanded(prefix), *digits]) != 1:
        raise ConfigurationError(f"this is no key in the text of age: {wrong}")
    key = bytes(_regroup(digits[:-_CHECK], 5, 8))
    padded = _regroup(key, 8, 5)
    if len(key) != sodium.KEY_SIZE or padded != digits[:-_CHECK]:
        raise ConfigurationError(f"this is no key in the text of age: {wrong}")
    return key


def _expanded(prefix: str) -> list[int]:
    codes = [ord(character) for character in prefix]
    return [*(code >> 5 for code in codes), 0, *(code & 31 for code in codes)]


def _polymod(values: list[int]) -> int:
    """Return the checksum's remainder (BIP 173)."""
    check = 1
    for value in values:
        top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ value
        for at, generator in enumerate(_GENERATOR):
            check ^= generator if top >> at & 1 else 0
    return check


def _regroup(values: bytes | list[int], size: int, into: int) -> list[int]:
    """Return the bits of `values`, `size` of each, in groups of `into`.

    What is over is filled with zeros where groups get smaller, and left out where they get larger.
    """
    bits = "".join(f"{value:0{size}b}" for value in values)
    if into < size:
        bits += "0" * (-len(bits) % into)
    return [int(bits[at : at + into], 2) for at in range(0, len(bits) - into + 1, into)]
