"""The private key in a file, and the images that are sealed for it by nobody in particular."""

import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from uuid import UUID

from errors import Attempt, ConfigurationError, ForeignError, LockedError, UsageError
from format import sodium
from format.checksum import Buffer
from format.records import Superblock
from format.sealing import NOBODY, ImageKey, Seal, Sealing, unsigned
from linux.open_file import OpenFile, read_whole
from seal import age, recipients
from seal.recipients import ToKey

_LARGEST = 64 << 10
"""Bytes of a file with an identity."""


def _read(path: str) -> bytes:
    """Return the private key in a file or pipe. Raises ConfigurationError, UnreadableError."""
    with Attempt("read", path):
        data = read_whole(path, _LARGEST, waits=True)  # for a shell's <(command)
    try:
        return age.parse_identity(data.decode("utf-8", "replace"))
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{path}: {error}", "make one: torpor key generate FILE"
        ) from error


def by_identity(path: str) -> Callable[[Buffer], ImageKey]:
    """Return what opens the images that are sealed for the private key in a file.

    It raises ForeignError for one that is not sealed, LockedError for one that is for others.
    Raises ConfigurationError, UnreadableError.
    """
    identity = _read(path)

    def unlock(page: Buffer) -> ImageKey:
        superblock = Superblock.parse(page)
        if superblock.seal is None:
            raise ForeignError("the image is not sealed: nothing tells who made it")
        for one in recipients.parse(superblock.seal.recipients):
            if isinstance(one, ToKey) and (secret := age.unwrap(identity, one.wrapped)):
                return ImageKey(secret, superblock.image_uuid)
        raise LockedError(f"the image is not sealed for {_name(identity)}, the key in {path}")

    return unlock


def _name(identity: bytes) -> str:
    return age.recipient_text(sodium.public_of(identity))


def for_recipients(texts: Iterable[str], image_uuid: UUID) -> Sealing:
    """Return what seals an image for these public keys, signed by nobody.

    Raises UsageError for a text that is no key, TorporError for too many.
    """
    key = ImageKey.new(image_uuid)
    try:
        public = [age.parse_recipient(text) for text in texts]
        to = [ToKey(age.wrap(one, bytes(key.secret))) for one in dict.fromkeys(public)]
    except ConfigurationError as error:
        raise UsageError(f"nothing can be sealed for that recipient: {error}") from error
    return Sealing(key, Seal(NOBODY, 0, 0, recipients.build(to)), unsigned)


def generate(path: str) -> str:
    """Write a new private key to a new file, its owner's only; return the public key.

    Raises UnreadableError, also where there is a file already.
    """
    identity = age.new_identity()
    recipient = _name(identity)
    text = f"# public key: {recipient}\n{age.identity_text(identity)}\n"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with Attempt("write", path), ExitStack() as on_error:
        with OpenFile(os.open(path, flags, 0o600)) as file:
            on_error.callback(os.unlink, path)
            os.write(file.fd, text.encode())
            os.fsync(file.fd)
        on_error.pop_all()
    return recipient
