"""Puts right the tags of a sealed specimen, as if who has its key had meant what is there now."""

from uuid import UUID

import aeg.aegis256
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests import forge_sealed
from tests.forge_sealed import CHUNK_TAG, KEY, SECRET, SEED, TAG, Key

_TAG_AT, _SIGNATURE_AT, _END = 4008, 4024, 4088
_SIGNER = Ed25519PrivateKey.from_private_bytes(SEED)


def tag_superblock(image: bytearray) -> None:
    image[_TAG_AT:_SIGNATURE_AT] = key_of(image).tag(bytes(image[:_TAG_AT]))
    image[_SIGNATURE_AT:_END] = _SIGNER.sign(bytes(image[:_SIGNATURE_AT]))


def key_of(image: bytearray) -> Key:
    """Return the key that a reader has by the UUID that is there now."""
    return Key(SECRET, UUID(bytes=bytes(image[32:48])))


def tag(record: bytearray, start: int, size: int, key: Key) -> None:
    """Put right the tag of the record there, whose checksum follows it."""
    at = start + size - 4 - TAG
    record[at : at + TAG] = key.tag(bytes(record[start:at]))


def encrypt_again(image: bytearray, before: bytes, number: int, start: int, size: int) -> None:
    """Encrypt what was in a chunk of the specimen `before` with the header that is there now."""
    body = slice(start + 48, start + 48 + size)
    plain = aeg.aegis256.decrypt(
        _chunk_key(KEY),
        number.to_bytes(32, "little"),
        before[body],
        before[start : start + 44],
        maclen=CHUNK_TAG,
    )
    header = bytes(image[start : start + 44])
    image[body] = key_of(image).encrypt(number, header, bytes(plain))


def _chunk_key(key: Key) -> bytes:
    return forge_sealed.hmac(key.secret, b"chunks" + key.uuid.bytes)
