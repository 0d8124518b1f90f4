"""Each primitive beside another library's, and what is told of wrong input."""

import os

import aeg.aegis256
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import (
    X25519PrivateKey,
    X25519PublicKey,
)
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from errors import ConfigurationError
from format import sodium
from seal import age

KEY = bytes(range(32))


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 4000, 1 << 20])
def test_aegis_is_libaegis(size: int) -> None:
    message, head, number = os.urandom(size), os.urandom(44), 1 << 19
    room = bytearray(message + bytes(sodium.TAG_SIZE))
    sodium.encrypt(KEY, number, head, memoryview(room))
    nonce = number.to_bytes(32, "little")
    assert room == aeg.aegis256.encrypt(KEY, nonce, message, head, maclen=32)
    assert sodium.decrypt(KEY, number, head, memoryview(room))
    assert room[:size] == message


@pytest.mark.parametrize("at", range(0, 64 + 32, 5))
def test_a_changed_byte_gives_nothing(at: int) -> None:
    message = b"known" * 12 + b"text"
    room = bytearray(message + bytes(sodium.TAG_SIZE))
    sodium.encrypt(KEY, 1, b"head", memoryview(room))
    room[at] ^= 1
    assert not sodium.decrypt(KEY, 1, b"head", memoryview(room))
    assert b"known" not in room


@pytest.mark.parametrize(
    ("number", "head", "key"), [(2, b"head", KEY), (1, b"heat", KEY), (1, b"head", bytes(32))]
)
def test_another_number_header_or_key_gives_nothing(number: int, head: bytes, key: bytes) -> None:
    room = bytearray(b"text" + bytes(sodium.TAG_SIZE))
    sodium.encrypt(KEY, 1, b"head", memoryview(room))
    assert not sodium.decrypt(key, number, head, memoryview(room))


def test_wrapping_is_chacha20_poly1305() -> None:
    wrapped = sodium.wrap(KEY, b"secret")
    assert wrapped == ChaCha20Poly1305(KEY).encrypt(bytes(12), b"secret", None)
    assert sodium.unwrap(KEY, wrapped) == bytearray(b"secret")
    assert sodium.unwrap(KEY, wrapped[:-1]) is None
    assert sodium.unwrap(KEY, b"short") is None
    assert sodium.unwrap(bytes(32), wrapped) is None


def test_keys_are_x25519_and_ed25519() -> None:
    private = X25519PrivateKey.from_private_bytes(KEY)
    other = X25519PrivateKey.generate()
    assert sodium.public_of(KEY) == private.public_key().public_bytes_raw()
    public = other.public_key()
    assert sodium.shared(KEY, public.public_bytes_raw()) == private.exchange(public)
    assert sodium.shared(KEY, bytes(32)) is None
    signer = Ed25519PrivateKey.from_private_bytes(KEY)
    assert sodium.signer_of(KEY) == signer.public_key().public_bytes_raw()
    assert sodium.sign(KEY, b"header") == signer.sign(b"header")
    assert sodium.is_signed(sodium.signer_of(KEY), b"header", signer.sign(b"header"))
    assert not sodium.is_signed(sodium.signer_of(KEY), b"heade", signer.sign(b"header"))
    assert not sodium.is_signed(bytes(32), b"header", signer.sign(b"header"))


def test_a_passphrase_is_stretched_by_argon2id() -> None:
    salt, passes, memory = bytes(range(16)), 3, 1 << 20
    independent = Argon2id(
        salt=salt, length=32, iterations=passes, lanes=1, memory_cost=memory >> 10
    )
    assert sodium.stretch(b"word", salt, passes, memory) == independent.derive(b"word")
    assert sodium.stretch(b"word", salt, passes, 1 << 46) is None


def test_a_secret_is_overwritten() -> None:
    secret = bytearray(KEY)
    sodium.lock(secret)
    sodium.forget(secret)
    assert not any(secret)


def test_a_wrapped_secret_is_hkdf_and_chacha20_poly1305() -> None:
    identity = X25519PrivateKey.generate()
    recipient = identity.public_key().public_bytes_raw()
    wrapped = age.wrap(recipient, KEY)
    sender = X25519PublicKey.from_public_bytes(wrapped.share)
    derived = HKDF(SHA256(), 32, wrapped.share + recipient, b"torpor/v2/X25519")
    key = derived.derive(identity.exchange(sender))
    assert ChaCha20Poly1305(key).decrypt(bytes(12), wrapped.secret, None) == KEY
    assert age.unwrap(identity.private_bytes_raw(), wrapped) == bytearray(KEY)
    assert age.unwrap(KEY, wrapped) is None
    assert age.unwrap(identity.private_bytes_raw(), wrapped._replace(share=bytes(32))) is None
    with pytest.raises(ConfigurationError, match="no key that can be used"):
        age.wrap(bytes(32), KEY)


IDENTITY = "AGE-SECRET-KEY-184JMZMVQH3E6U0PSL869004Y3U2NYV7R30EU99CSEDNPH02YUVFSZW44VU"
"""Of filippo.io/age's own tests (age_test.go): the example of its README."""


def test_the_text_of_a_key_is_ages() -> None:
    identity = age.parse_identity(f"# created: 2020\n{IDENTITY}\n\n")
    assert age.identity_text(identity) == IDENTITY
    recipient = age.recipient_text(sodium.public_of(identity))
    assert recipient.startswith("age1")
    assert age.parse_recipient(recipient) == sodium.public_of(identity)
    assert age.parse_recipient(recipient.upper()) == sodium.public_of(identity)


@pytest.mark.parametrize(
    "text",
    [
        *("", "age1", IDENTITY[:-1], IDENTITY[:-1] + "Q", IDENTITY.lower()[:20] + IDENTITY[20:]),
        *(IDENTITY.replace("8", "B"), f"{IDENTITY}\n{IDENTITY}", "# nothing"),
        age.recipient_text(KEY),
        *(f"{age.IDENTITY}1qqqqqq", IDENTITY[:14] + "1" + IDENTITY[15:]),
    ],
)
def test_what_is_no_identity_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        age.parse_identity(text)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(ConfigurationError, match="begins with age1"):
        age.parse_recipient(age._encode(age.RECIPIENT, bytes(size)))
