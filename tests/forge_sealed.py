"""Sealed records made from docs/FORMAT.md alone, sound or with a lie in them.

Nothing here uses the code under test: libaegis (aeg) and OpenSSL (cryptography) instead of
libsodium and hmac. All random numbers are fixed, so that the bytes are always the same.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import aeg.aegis256
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tests import forge
from tests.forge import PAGE, Parts, Piece, Super, filled, text

IDENTITY = bytes(range(100, 132))
"""The private key that opens the vectors: its text is tests/vectors/identity.txt."""
STRANGER = bytes(range(32))
"""Of somebody else."""
SECRET, OTHER_SECRET = bytes(range(200, 232)), bytes(range(150, 182))
"""Keys of images."""
SEED = bytes(range(50, 82))
"""Of a sender."""
TAG, CHUNK_TAG = 16, 32
PASSPHRASE = b"correct horse"
UNSEALED, SALT = bytes(range(3, 35)), bytes(range(220, 252))
"""What a TPM gives; what a PIN is salted with."""


def public_of(private: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def signer_of(seed: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def hmac(key: bytes, data: bytes) -> bytes:
    made = HMAC(key, SHA256())
    made.update(data)
    return made.finalize()


@dataclass(frozen=True, slots=True)
class Key:
    """The key of one image."""

    secret: bytes = SECRET
    uuid: UUID = forge.UUID_A

    def tag(self, record: bytes) -> bytes:
        return hmac(hmac(self.secret, b"tags" + self.uuid.bytes), record)[:TAG]

    def encrypt(self, number: int, header: bytes, data: bytes) -> bytes:
        """Return the data of a chunk with its tag behind it."""
        key = hmac(self.secret, b"chunks" + self.uuid.bytes)
        nonce = number.to_bytes(32, "little")
        return bytes(aeg.aegis256.encrypt(key, nonce, data, header, maclen=CHUNK_TAG))

    def tagged(self, record: bytes) -> bytes:
        """Return an index, trailer, mark or page of a map with its tag and checksum."""
        bare = record[: -TAG - 4]
        return forge.sealed(self.uuid, bare + self.tag(bare))


KEY = Key()


def wrapped(public: bytes, secret: bytes, own: bytes = bytes(range(64, 96))) -> bytes:
    """Return a secret wrapped for a public key; `own` is the private key of the share."""
    private = X25519PrivateKey.from_private_bytes(own)
    share = private.public_key().public_bytes_raw()
    exchanged = private.exchange(X25519PublicKey.from_public_bytes(public))
    key = HKDF(SHA256(), 32, share + public, b"torpor/v2/X25519").derive(exchanged)
    return public + share + locked(key, secret)


def locked(key: bytes, secret: bytes) -> bytes:
    return ChaCha20Poly1305(key).encrypt(bytes(12), secret, None)


def recipient(kind: int, body: bytes, size: int | None = None) -> bytes:
    return struct.pack("<HH", kind, len(body) if size is None else size) + body


def to_key(private: bytes = IDENTITY, secret: bytes = SECRET) -> bytes:
    return recipient(1, wrapped(public_of(private), secret))


def to_passphrase(passes: int = 1, kibibytes: int = 64) -> bytes:
    salt = bytes(range(16))
    made = Argon2id(salt=salt, length=32, iterations=passes, lanes=1, memory_cost=kibibytes)
    lock = locked(made.derive(PASSPHRASE), STRANGER)
    head = salt + struct.pack("<II", passes, kibibytes) + lock
    return recipient(2, head + wrapped(public_of(STRANGER), SECRET))


def to_key_file() -> bytes:
    head = struct.pack("<Q", 17) + text(b"UUID=1-2")
    return recipient(3, head + wrapped(public_of(STRANGER), SECRET))


def _by_tpm() -> bytes:
    parts = (b"\0\x0b" + bytes(32), b"public" * 13, b"private" * 20)
    return struct.pack("<I", 1 << 7 | 1 << 14) + b"".join(map(text, parts))


def to_tpm() -> bytes:
    return recipient(4, _by_tpm() + locked(UNSEALED, SECRET))


def to_tpm_and_pin() -> bytes:
    both = locked(UNSEALED, SALT + wrapped(public_of(STRANGER), SECRET))
    return recipient(5, _by_tpm() + text(b"of the PIN") + text(b"private") + both)


@dataclass(frozen=True, slots=True)
class SealedSuper(Super):
    """A superblock with a seal."""

    required: int = 1
    key: Key = KEY
    recipients: bytes = to_key()
    size: int | None = None
    """Of the recipients, if not theirs."""
    seed: bytes = b""
    """Of the sender; empty: nobody."""
    sender: bytes | None = None
    """If not the seed's."""
    counter: tuple[int, int] = (0, 0)
    """Index and value."""
    tag: bytes | None = None
    """If not the key's."""

    def build(self) -> bytes:
        sender = self.sender or (signer_of(self.seed) if self.seed else bytes(32))
        size = len(self.recipients) if self.size is None else self.size
        seal = struct.pack("<32sI4xQH", sender, *self.counter, size) + self.recipients
        page = (Super.build(self)[:364] + seal).ljust(4008, b"\0")
        page += self.tag or self.key.tag(page)
        signer = Ed25519PrivateKey.from_private_bytes(self.seed) if self.seed else None
        page += signer.sign(page) if signer else bytes(64)
        return forge.sealed(self.uuid, page.ljust(PAGE - 4, b"\0"))


def chunk(
    number: int,
    payload: bytes,
    raw_size: int = PAGE,
    *,
    codec: int = forge.NONE,
    key: Key = KEY,
    tag: bytes = b"",
    behind: bytes = b"",
) -> Piece:
    """Return an encrypted chunk; `tag` stands for the end of its own, `behind` for the fill's."""
    bare = struct.pack("<4sBB2xQII20x", b"TCHK", codec, 0, number, raw_size, len(payload))
    rest = key.encrypt(number, bare, filled(payload + behind, 48 + CHUNK_TAG))
    return summed_piece(bare, rest[: len(rest) - len(tag)] + tag, raw_size, key.uuid)


def summed_piece(
    bare: bytes, rest: bytes, raw_size: int = PAGE, uuid: UUID = forge.UUID_A
) -> Piece:
    """Return a chunk of a header without its checksum and all that is behind."""
    header = forge.sealed(uuid, bare, rest)
    return Piece(header + rest, raw_size, int.from_bytes(header[-4:], "little"))


def sealed_parts(superblock: SealedSuper, pieces: Sequence[Piece]) -> Parts:
    """Return a sealed image taken apart."""
    return Parts(superblock, tuple(pieces), finish=superblock.key.tagged)


def with_tables(parts: Parts, *tables: tuple[int, bytes], key: Key = KEY) -> Parts:
    """Return it with these tables, as Parts.with_tables."""
    numbered = enumerate(tables, len(parts.pieces))
    made = ((kind, chunk(nth, data, len(data), key=key)) for nth, (kind, data) in numbered)
    return replace(parts, tables=tuple(made))
