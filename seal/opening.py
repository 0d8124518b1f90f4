"""Opens a sealed image at a boot: who made it, and then, by one of the ways to it, its key."""

from collections.abc import Callable, Iterator
from typing import Protocol

from errors import ForeignError, LockedError, SpentError, TorporError
from format import PAGE_SIZE, sodium
from format.checksum import Buffer
from format.pipeline import PageBuffer
from format.records import Superblock
from format.sealing import ImageKey, is_signed
from seal import age, recipients
from seal.recipients import Recipient, ToKeyFile, ToPassphrase
from seal.slots import private_in
from state.sealing import Trust
from store.blocks import read_at
from store.image import opened

TRIES = 3
_PASSES, _KIBIBYTES = range(1, 17), range(8, (1 << 20) + 1)
"""Of Argon2id: what a passphrase may cost a boot."""


class Asking(Protocol):
    """Somebody to be asked: seal.ask."""

    def passphrases(self, prompt: str) -> list[bytes]:
        """Return what to try, [] where nobody answers."""


class Nobody:
    """Is not there to be asked."""

    def passphrases(self, _prompt: str) -> list[bytes]:
        """See Asking."""
        return []


def check_sender(superblock: Buffer, trust: Trust) -> None:
    """Raise ForeignError unless these bytes of a page are signed by who is trusted."""
    if not is_signed(superblock, trust.sender):
        raise ForeignError("the image is not sealed by this installation")


class Opening:
    """The ways to the keys of images at this boot; what needs nobody comes first."""

    def __init__(self, asking: Asking, find: Callable[[str], str | None]) -> None:
        """`find` returns the path of the device that a name is of, None where it is not there."""
        self._asking = asking
        self._find = find

    def key(self, superblock: Superblock) -> ImageKey:
        """Return the key of an image whose superblock is authenticated.

        Raises SpentError where nobody can have it any more, LockedError with the reason of each
        way, DamagedError.
        """
        seal = superblock.seal
        if seal is None:
            raise ForeignError("the image is not sealed")
        if not seal.recipients:
            raise SpentError("the image is not restored any more: its key was overwritten")
        reasons = []
        for one in sorted(recipients.parse(seal.recipients), key=_order):
            try:
                return ImageKey(self._secret(one), superblock.image_uuid)
            except TorporError as error:
                reasons.append(str(error))
        raise LockedError(f"the image cannot be opened: {'; '.join(reasons) or 'by nothing here'}")

    def _secret(self, one: Recipient) -> bytes:
        """Return the image's key by one of the ways. Raises LockedError."""
        match one:
            case ToKeyFile():
                identity = self._from_file(one)
            case ToPassphrase():
                identity = self._from_passphrase(one)
            case _:
                raise LockedError("it is sealed for a key that this boot does not have")
        secret = age.unwrap(identity, one.wrapped)
        if secret is None:
            raise LockedError("the key is not the one that the image was sealed for")
        return secret

    def _from_file(self, one: ToKeyFile) -> bytes:
        path = self._find(one.device)
        if path is None:
            raise LockedError(f"{one.device}, which has the key file, is not there")
        with opened(path, 0) as fd:
            page = PageBuffer(PAGE_SIZE).view
            read_at(fd, path, one.page * PAGE_SIZE, page)
        identity = private_in(page)
        if identity is None:
            raise LockedError(f"the key file is not in page {one.page} of {path} any more")
        return identity

    def _from_passphrase(self, one: ToPassphrase) -> bytes:
        if one.passes not in _PASSES or one.kibibytes not in _KIBIBYTES:
            raise LockedError("the passphrase takes more than a boot may give")
        for typed in self._typed():
            key = sodium.stretch(typed, one.salt, one.passes, one.kibibytes << 10)
            if key is None:
                raise LockedError(f"the passphrase takes {one.kibibytes >> 10} MiB of memory")
            if identity := sodium.unwrap(key, one.locked):
                return identity
        raise LockedError("no passphrase was typed that opens it")

    def _typed(self) -> Iterator[bytes]:
        """Yield what is typed, and TRIES times what was typed for something else before."""
        for nth in range(TRIES + 1):
            answers = self._asking.passphrases(
                "Passphrase of the hibernated session" if not nth else "That was wrong: once more"
            )
            if not answers:
                return
            yield from answers


def _order(one: Recipient) -> bool:
    return isinstance(one, ToPassphrase)
