"""What a sealed image has besides another: its key, and who may have it.

docs/FORMAT.md, "Seal". The superblock of a sealed image names the sender, who signs it, and the
recipients for whom the key is wrapped; all else is authenticated by the key.
"""

import hashlib
import hmac
import os
from collections.abc import Callable
from typing import NamedTuple, Self
from uuid import UUID

from errors import DamagedError, ForeignError, LockedError
from format import PAGE_SIZE, layout, sealed_layout, sodium
from format.checksum import Buffer, seed, with_checksum
from format.sealed_layout import RECIPIENTS_AT, SEAL_AT, SIGNATURE_AT, SIGNATURE_END, TAG_AT

NOBODY = bytes(sodium.KEY_SIZE)
"""The sender of an image that is not signed."""


class ImageKey:
    """The key of one image; what it is for is done by keys that are derived from it."""

    __slots__ = ("_chunks", "_tags", "secret")

    def __init__(self, secret: bytes | bytearray, image_uuid: UUID) -> None:
        """Take the secret over, if it is a bytearray: `forget` overwrites it."""
        self.secret = secret if isinstance(secret, bytearray) else bytearray(secret)
        """What is wrapped for the recipients."""
        self._chunks = self._derived(b"chunks", image_uuid)
        self._tags = self._derived(b"tags", image_uuid)
        for each in self._all():
            sodium.lock(each)

    @classmethod
    def new(cls, image_uuid: UUID) -> Self:
        """Make the key of a new image."""
        return cls(bytearray(os.urandom(sodium.KEY_SIZE)), image_uuid)

    def tag(self, data: Buffer) -> bytes:
        """Return what authenticates a record, of layout.TAG_SIZE bytes. Not once it is forgotten.

        Raises LockedError then: what is left is zeros, which anybody knows.
        """
        self._refuse_forgotten()
        return hmac.digest(self._tags, data, hashlib.sha256)[: layout.TAG_SIZE]

    def is_tagged(self, data: Buffer, tag: Buffer) -> bool:
        """Return whether that is the record's tag."""
        return hmac.compare_digest(self.tag(data), bytes(tag))

    def encrypt(self, number: int, header: Buffer, room: memoryview) -> None:
        """Encrypt what follows the header of chunk `number`; its last bytes get the tag.

        Raises LockedError as `tag`.
        """
        self._refuse_forgotten()
        sodium.encrypt(self._chunks, number, header, room)

    def decrypt(self, number: int, header: Buffer, room: memoryview) -> bool:
        """Undo that; return False for what was not encrypted as this chunk with this header.

        Raises LockedError as `tag`.
        """
        self._refuse_forgotten()
        return sodium.decrypt(self._chunks, number, header, room)

    def forget(self) -> None:
        """Overwrite it in memory: it is of no use then."""
        for each in self._all():
            sodium.forget(each)

    def _derived(self, purpose: bytes, image_uuid: UUID) -> bytearray:
        digest = hmac.digest(self.secret, purpose + image_uuid.bytes, hashlib.sha256)
        key = bytearray(digest)
        sodium.forget(digest)
        return key

    def _refuse_forgotten(self) -> None:
        if not any(self._tags):
            raise LockedError("the key of the image is forgotten")

    def _all(self) -> tuple[bytearray, ...]:
        return (self.secret, self._chunks, self._tags)


class Seal(NamedTuple):
    """What the superblock of a sealed image has besides another."""

    sender: bytes
    """Public key of Ed25519 that the superblock is signed with, or NOBODY."""
    counter_index: int
    """NV index of the TPM's counter, 0 without one."""
    counter: int
    """What it said when the image was made."""
    recipients: bytes
    """Whom the key is wrapped for: seal.recipients."""

    @classmethod
    def parse(cls, data: Buffer) -> Self:
        """Return what is in these bytes of a superblock. Raises DamagedError."""
        return layout.filled(
            cls, layout.parse(sealed_layout.Seal, data, "superblock cannot be read")
        )


class Sealing(NamedTuple):
    """What it takes to write a sealed image."""

    key: ImageKey
    seal: Seal
    sign: Callable[[bytes], bytes]
    """Return the signature of the sender; of nobody as many zeros."""

    def close(self, superblock: bytes, image_uuid: UUID) -> bytes:
        """Return the superblock with the seal, its tag and its signature."""
        seal = layout.build(sealed_layout.Seal, self.seal)
        page = superblock[:SEAL_AT] + seal[: TAG_AT - SEAL_AT]
        page += self.key.tag(page)
        page += self.sign(page)
        return with_checksum(seed(image_uuid), page.ljust(PAGE_SIZE - 4, b"\0"))


def unsigned(_page: bytes) -> bytes:
    """Return the signature of nobody."""
    return bytes(sodium.SIGNATURE_SIZE)


def is_signed(superblock: Buffer, sender: bytes) -> bool:
    """Return whether the superblock, SUPERBLOCK_SIZE bytes of any kind, is signed by the sender."""
    signed, signature = superblock[:SIGNATURE_AT], superblock[SIGNATURE_AT:SIGNATURE_END]
    return sodium.is_signed(sender, signed, signature)


def check_superblock(superblock: Buffer, key: ImageKey) -> None:
    """Raise DamagedError unless the superblock is the one that was sealed with the key.

    Raises ForeignError if its sender, whoever that is, has not signed it: who knows the public keys
    of a machine can seal an image for it, and name its sender.
    """
    if not key.is_tagged(superblock[:TAG_AT], superblock[TAG_AT:SIGNATURE_AT]):
        raise DamagedError("superblock is not what was sealed")
    sender = bytes(superblock[SEAL_AT : SEAL_AT + sodium.KEY_SIZE])
    is_nobodys = not any((*sender, *superblock[SIGNATURE_AT:SIGNATURE_END]))
    if not is_nobodys and not is_signed(superblock, sender):
        raise ForeignError("the image is not signed by the sender that it names")


def without_recipients(superblock: Buffer, image_uuid: UUID) -> bytes:
    """Return the superblock with nobody in it who could have the image's key, nor a signature."""
    bare = bytes(superblock[:RECIPIENTS_AT]).ljust(PAGE_SIZE - 4, b"\0")
    return with_checksum(seed(image_uuid), bare)
