"""Opens a sealed image at a boot: who made it, and then, by one of the ways to it, its key."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Protocol

from errors import ForeignError, LockedError, SpentError, TorporError, WrongPinError
from format import PAGE_SIZE, sodium
from format.checksum import Buffer
from format.pipeline import PageBuffer
from format.records import Superblock
from format.sealing import ImageKey, Seal, is_signed
from linux import block
from seal import age, recipients
from seal.age import Wrapped
from seal.recipients import ByPin, Recipient, ToKey, ToKeyFile, ToPassphrase, ToTpm, ToTpmAndPin
from seal.slots import private_in
from seal.tpm import Sealed, Tpm
from state.sealing import Trust
from store.blocks import read_at
from store.image import opened

_TRIES = 3
_PIN = "PIN of the hibernated session"
_PASSPHRASE = "Passphrase of the hibernated session"
_ORDER: tuple[type[Recipient], ...] = (ToKey, ToKeyFile, ToTpm, ToTpmAndPin, ToPassphrase)
_PASSES, _KIBIBYTES = range(1, 17), range(8, (1 << 20) + 1)
"""Of Argon2id: what a passphrase may cost a boot."""


class Asking(Protocol):
    """Somebody to be asked: seal.ask."""

    def passphrases(self, prompt: str) -> list[bytes]:
        """Return what to try, [] where nobody answers."""

    def pin(self, prompt: str) -> bytes | None:
        """Return what was typed, None where nobody answers."""


class Nobody:
    """Is not there to be asked."""

    def passphrases(self, _prompt: str) -> list[bytes]:
        """See Asking."""
        return []

    def pin(self, _prompt: str) -> bytes | None:
        """See Asking."""
        return None


def check_sender(superblock: Buffer, trust: Trust) -> None:
    """Raise ForeignError unless these bytes of a page are signed by who is trusted."""
    if not is_signed(superblock, trust.sender):
        raise ForeignError("the image is not sealed by this installation")


class Opening:
    """The ways to the keys of images at this boot; what needs nobody comes first."""

    def __init__(
        self, asking: Asking, find: Callable[[str], str | None], say: Callable[[str], None]
    ) -> None:
        """`find` returns the path of the device that a name is of, None where it is not there.

        To `say` goes a line for each way that does not open an image, before the next one is tried.
        """
        self._asking = asking
        self._find = find
        self._say = say
        self._tpm = Tpm()
        self._counts: dict[Seal, int] = {}
        """What the counters say, by which these images are the newest."""
        self._uncounted: dict[Seal, str] = {}
        """Why a counter says nothing."""

    def check_counter(self, seal: Seal, attempts: int) -> None:
        """Raise SpentError if the TPM has counted since the image was made, but for its attempts.

        It was restored or discarded then, or another one made after it, and what is here is a copy.
        Where the TPM does not say, that is not known: its owner may have cleared it. Then `key` has
        nothing from the TPM.
        """
        if not seal.counter_index:
            return
        try:
            count = self._tpm.read_counter(seal.counter_index)
        except LockedError as error:
            self._uncounted[seal] = f": {error}"
            return
        if count != seal.counter + attempts:
            raise SpentError(
                "the image is not restored any more: by the counter of the TPM it is a copy of one "
                "that was restored or discarded"
            )
        self._counts[seal] = count

    def count(self, seal: Seal) -> None:
        """Have the TPM count, so that no copy of the image is restored.

        Raises LockedError if it has not counted; one that has, and then fails, is asked once more.
        """
        if seal not in self._counts:
            return
        try:
            count = self._tpm.increment(seal.counter_index)
        except LockedError:
            count = self._tpm.read_counter(seal.counter_index)
            if count == self._counts[seal]:
                raise
        self._counts[seal] = count

    def key(self, superblock: Superblock) -> ImageKey:
        """Return the key of an image whose superblock is authenticated.

        Raises ForeignError where it is not sealed, SpentError where nobody can have it any more,
        LockedError with the reason of each way, DamagedError.
        """
        seal = superblock.seal
        if seal is None:
            raise ForeignError("the image is not sealed")
        if not seal.recipients:
            raise SpentError("the image is not restored any more: its key was overwritten")
        reasons, ways = self._why_uncounted(seal), self._ways(seal)
        locked = [one for one in ways if isinstance(one, ToPassphrase)]
        others = [one for one in ways if not isinstance(one, ToPassphrase)]
        for one in [*others, *locked[:1]]:
            if reasons:
                self._say(f"the image is not open yet: {reasons[-1]}; trying the next key")
            try:
                return ImageKey(self._secret(one, locked), superblock.image_uuid)
            except TorporError as error:
                reasons.append(str(error))
        why = "; ".join(dict.fromkeys(reasons)) or "by nothing here"
        raise LockedError(f"the image cannot be opened: {why}")

    def _ways(self, seal: Seal) -> list[Recipient]:
        """Return the recipients to try, in that order.

        Not the TPM if it could open a copy: anybody's system can remove its counter. One that was
        cleared has no way to the key left, so nothing is lost by that.
        """
        found = sorted(recipients.parse(seal.recipients), key=_order)
        if self._why_uncounted(seal):
            return [one for one in found if not isinstance(one, ToTpm | ToTpmAndPin)]
        return found

    def _why_uncounted(self, seal: Seal) -> list[str]:
        if not seal.counter_index or seal in self._counts:
            return []
        why = self._uncounted.get(seal, ", which was not asked")
        return [f"the TPM does not say whether the image is the newest{why}"]

    def _secret(self, one: Recipient, locked: list[ToPassphrase]) -> bytearray:
        """Return the image's key by one of the ways; what is typed is tried on all of `locked`.

        Raises LockedError.
        """
        match one:
            case ToKeyFile():
                return _for(self._from_file(one), one.wrapped)
            case ToPassphrase():
                return self._by_passphrase(locked)
            case ToTpm():
                return _unwrapped(self._from_tpm(one), one.locked)
            case ToTpmAndPin():
                by_pin = ByPin.parse(_unwrapped(self._from_tpm(one), one.locked))
                return _for(self._from_pin(one, by_pin.salt), by_pin.wrapped)
            case ToKey():
                raise LockedError("it is sealed for a key that this boot does not have")

    def _from_tpm(self, one: ToTpm | ToTpmAndPin) -> bytes:
        pcrs = tuple(pcr for pcr in range(32) if one.pcrs >> pcr & 1)
        return self._tpm.unseal(Sealed(one.parent, one.public, one.private), pcrs)

    def _from_pin(self, one: ToTpmAndPin, salt: bytes) -> bytes:
        sealed = Sealed(one.parent, one.pin_public, one.pin_private)
        for nth in range(_TRIES):
            pin = self._asking.pin(_prompt(_PIN, nth))
            if pin is None:
                break
            with suppress(WrongPinError):
                return self._tpm.unseal_with_pin(sealed, pin, salt)
        raise LockedError("no PIN was typed that opens it")

    def _from_file(self, one: ToKeyFile) -> bytes:
        path = self._find(one.device)
        if path is None:
            raise LockedError(f"{one.device}, which has the key file, is not there")
        with opened(path, os.O_RDONLY) as fd:
            if one.page >= block.size_of(fd) // PAGE_SIZE:
                raise LockedError(f"{path} ends before page {one.page}, which was the key file's")
            page = PageBuffer(PAGE_SIZE).view
            read_at(fd, path, one.page * PAGE_SIZE, page)
        identity = private_in(page)
        if identity is None:
            raise LockedError(f"the key file is not in page {one.page} of {path} any more")
        return identity

    def _by_passphrase(self, several: list[ToPassphrase]) -> bytearray:
        """Ask once for all of them: each may be what is typed."""
        if any(one.passes not in _PASSES or one.kibibytes not in _KIBIBYTES for one in several):
            raise LockedError("the passphrase takes more than a boot may give")
        for typed in self._typed():
            for one in several:
                if identity := _stretched(one, typed):
                    return _for(identity, one.wrapped)
        raise LockedError("no passphrase was typed that opens it")

    def _typed(self) -> Iterator[bytes]:
        """Yield what was typed for something else before, and _TRIES times what is typed."""
        for nth in range(_TRIES + 1):
            answers = self._asking.passphrases(_prompt(_PASSPHRASE, nth))
            if not answers:
                return
            yield from answers


def _prompt(what: str, nth: int) -> str:
    """Return the question, always with what is asked for: the first try may be what LUKS had."""
    return f"That was wrong. {what}" if nth else what


def _stretched(one: ToPassphrase, typed: bytes) -> bytearray | None:
    """Return the private key that the passphrase unlocks. Raises LockedError."""
    key = sodium.stretch(typed, one.salt, one.passes, one.kibibytes << 10)
    if key is None:
        raise LockedError(f"the passphrase takes {one.kibibytes >> 10} MiB of memory")
    return sodium.unwrap(key, one.locked)


def _for(identity: Buffer, wrapped: Wrapped) -> bytearray:
    secret = age.unwrap(identity, wrapped)
    if secret is None:
        raise LockedError("the key is not the one that the image was sealed for")
    return secret


def _unwrapped(key: bytes, locked: bytes) -> bytearray:
    secret = sodium.unwrap(key, locked)
    if secret is None:
        raise LockedError("what the TPM gives does not open it")
    return secret


def _order(one: Recipient) -> int:
    return _ORDER.index(type(one))
