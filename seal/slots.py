"""The keys of this machine: for whom it seals its images, kept as /var/lib/torpor/seal/slots.json.

A slot has what it takes to seal without asking, and nothing that opens an image by itself: what a
boot needs goes into the image. So another slot takes no other initramfs.
"""

import json
import os
from typing import Any, NamedTuple

from errors import Attempt, ConfigurationError, OtherTpmError, SetupError, StateError
from format import PAGE_SIZE, layout, sealed_layout, sodium
from format.checksum import Buffer
from linux.extents import overwrite_in_place
from linux.open_file import OpenFile, read_whole
from seal import age
from seal.recipients import ByPin, Recipient, ToKeyFile, ToPassphrase, ToTpm, ToTpmAndPin
from seal.tpm import PCRS, Sealed, Tpm
from state.files import read_text, remove, write_bytes
from state.sealing import NEW_KEYS
from store.locate import name_of
from store.place import place_of

FOLDER = "/var/lib/torpor/seal"
SLOTS = f"{FOLDER}/slots.json"
SENDER = f"{FOLDER}/sender.key"

_PASSES = 3
_SHARE = 16
"""Argon2id takes that part of the memory at most: a boot has not much more than its initramfs."""
_LEAST, _MOST = 8 << 10, 256 << 10
"""KiB of memory that Argon2id takes."""
_SIZES = {
    "recipient": sodium.KEY_SIZE,
    "salt": sodium.SALT_SIZE,
    "pin_salt": sodium.KEY_SIZE,
    "locked": sodium.KEY_SIZE + sodium.WRAP_SIZE,
}
"""Bytes of what libsodium takes for granted to be so long."""


class PassphraseSlot(NamedTuple):
    """A key pair whose private key a passphrase locks."""

    recipient: bytes
    salt: bytes
    passes: int
    kibibytes: int
    locked: bytes

    def ready(self, _tpm: Tpm) -> "PassphraseSlot":
        """Return it: sealing takes no more."""
        return self

    def wrap(self, secret: bytes) -> Recipient:
        """Return the recipient in an image with this key."""
        wrapped = age.wrap(self.recipient, secret)
        return ToPassphrase(self.salt, self.passes, self.kibibytes, self.locked, wrapped)


class KeyFileSlot(NamedTuple):
    """A key pair whose private key lies in a file."""

    recipient: bytes
    path: str
    device: str = ""
    """Where the file is now, as resume= names a device."""
    page: int = 0

    def ready(self, _tpm: Tpm) -> "KeyFileSlot":
        """Return it with the place where the file is now, and the key that is in it.

        That is another than the slot's if the power was cut while it was made anew. Raises
        StoreRefusedError, DeviceNotFoundError, UnreadableError, and ConfigurationError for a file
        that is none of ours.
        """
        place = place_of(self.path)
        public = sodium.public_of(read_private(self.path))
        return self._replace(recipient=public, device=name_of(place.device), page=place.page)

    def wrap(self, secret: bytes) -> Recipient:
        """Return the recipient in an image with this key."""
        return ToKeyFile(self.page, self.device, age.wrap(self.recipient, secret))


class TpmSlot(NamedTuple):
    """The TPM of this machine, at a boot that measures what this one did."""

    parent: bytes
    """Name of its primary key: after TPM2_Clear, or of another TPM, it is another."""

    def ready(self, tpm: Tpm) -> "ByTpm":
        """Return it with a secret that is sealed to what this boot measured. Raises LockedError."""
        secret = os.urandom(sodium.KEY_SIZE)
        return ByTpm(secret, tpm.seal(secret, PCRS))


class TpmPinSlot(NamedTuple):
    """As TpmSlot, and a key pair whose private key the TPM gives for a PIN only."""

    recipient: bytes
    pin_salt: bytes
    """Secret: who listens on the way to the TPM, and has no image open, lacks it."""
    parent: bytes
    public: bytes
    private: bytes

    def ready(self, tpm: Tpm) -> "ByTpmAndPin":
        """As TpmSlot.ready. Raises OtherTpmError where no PIN gives the private key any more."""
        secret = os.urandom(sodium.KEY_SIZE)
        sealed = tpm.seal(secret, PCRS)
        if sealed.parent != self.parent:
            raise OtherTpmError("the TPM was cleared, or is another one")
        return ByTpmAndPin(secret, sealed, self)


class ByTpm(NamedTuple):
    """What seals for a TpmSlot."""

    secret: bytes
    sealed: Sealed

    def wrap(self, secret: bytes) -> Recipient:
        """Return the recipient in an image with this key."""
        return ToTpm(_mask_of(PCRS), *self.sealed, sodium.wrap(self.secret, secret))


class ByTpmAndPin(NamedTuple):
    """What seals for a TpmPinSlot."""

    secret: bytes
    sealed: Sealed
    slot: TpmPinSlot

    def wrap(self, secret: bytes) -> Recipient:
        """Return the recipient in an image with this key."""
        by_pin = ByPin(self.slot.pin_salt, age.wrap(self.slot.recipient, secret))
        locked = sodium.wrap(self.secret, by_pin.build())
        pin = (self.slot.public, self.slot.private)
        return ToTpmAndPin(_mask_of(PCRS), *self.sealed, *pin, locked)


def _mask_of(pcrs: tuple[int, ...]) -> int:
    """Return the registers as bits."""
    return sum(1 << pcr for pcr in pcrs)


Slot = PassphraseSlot | KeyFileSlot | TpmSlot | TpmPinSlot
Ready = PassphraseSlot | KeyFileSlot | ByTpm | ByTpmAndPin
_KINDS: dict[str, type[Slot]] = {
    "passphrase": PassphraseSlot,
    "keyfile": KeyFileSlot,
    "tpm2": TpmSlot,
    "tpm2+pin": TpmPinSlot,
}
_NAMES = {cls: name for name, cls in _KINDS.items()}


def by_tpm(slot: Slot) -> bool:
    """Return whether it takes the TPM to open what is sealed for the slot."""
    return isinstance(slot, TpmSlot | TpmPinSlot)


def kind_of(slot: Slot) -> str:
    """Return the word for what opens it."""
    return _NAMES[type(slot)]


def new_passphrase_slot(passphrase: bytes, memory: int) -> PassphraseSlot:
    """Return a slot for a passphrase on a machine of so many KiB of memory.

    Raises SetupError where that is not to be had.
    """
    private, salt = age.new_identity(), os.urandom(sodium.SALT_SIZE)
    kibibytes = max(_LEAST, min(_MOST, memory // _SHARE))
    key = sodium.stretch(passphrase, salt, _PASSES, kibibytes << 10)
    if key is None:
        raise SetupError(f"a passphrase takes {kibibytes >> 10} MiB of memory")
    locked = sodium.wrap(key, private)
    return PassphraseSlot(sodium.public_of(private), salt, _PASSES, kibibytes, locked)


def new_key_file(path: str) -> KeyFileSlot:
    """Write a file with a new private key, its owner's only; return its slot.

    Raises UnreadableError, also where there is a file already, and what KeyFileSlot.ready does.
    """
    return _write_key_file(path, age.new_identity())


def _write_key_file(path: str, private: bytes) -> KeyFileSlot:
    data = layout.build(sealed_layout.KeyFile, private=private)
    slot = KeyFileSlot(sodium.public_of(private), os.path.abspath(path))
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with Attempt("write", path):
        file = OpenFile(os.open(path, flags, 0o600))
    try:
        with file, Attempt("write", path):
            overwrite_in_place(file.fd)
            os.write(file.fd, data)
            os.fsync(file.fd)
        slot.ready(Tpm())
    except BaseException:
        os.unlink(path)
        raise
    return slot


def replace_key_file(path: str, private: bytes) -> KeyFileSlot:
    """As new_key_file, with this private key, in place of the file that is there.

    At each moment one of both is.
    """
    beside = f"{path}.new"
    remove(beside)
    slot = _write_key_file(beside, private)
    try:
        with Attempt("write", path):
            os.replace(beside, path)
    except BaseException:
        remove(beside)
        raise
    return slot._replace(path=os.path.abspath(path))


def read_key_file(slot: KeyFileSlot) -> bytes:
    """Return the private key in the file.

    Raises UnreadableError, and ConfigurationError for a file that is another's.
    """
    private = read_private(slot.path)
    if sodium.public_of(private) != slot.recipient:
        raise ConfigurationError(f"{slot.path} is not the key file that was made here")
    return private


def read_private(path: str) -> bytes:
    """Return the private key in a key file. Raises UnreadableError, ConfigurationError."""
    with Attempt("read", path):
        data = read_whole(path, PAGE_SIZE)
    private = private_in(data)
    if private is None:
        raise ConfigurationError(f"{path} is not a key file that was made here")
    return private


def new_tpm_slot(tpm: Tpm) -> TpmSlot:
    """Return a slot for the TPM. Raises LockedError where it does not seal."""
    return TpmSlot(tpm.seal(bytes(sodium.KEY_SIZE), PCRS).parent)


def new_tpm_pin_slot(tpm: Tpm, pin: bytes) -> TpmPinSlot:
    """Return a slot for the TPM and a PIN. Raises LockedError."""
    private, salt = age.new_identity(), os.urandom(sodium.KEY_SIZE)
    return TpmPinSlot(sodium.public_of(private), salt, *tpm.seal_with_pin(private, pin, salt))


def private_in(page: Buffer) -> bytes | None:
    """Return the private key in the page of a key file, None if it is none."""
    if len(page) != PAGE_SIZE or page[:8] != sealed_layout.KEY_FILE_MAGIC:
        return None
    fields = layout.parse(sealed_layout.KeyFile, page, "the key file cannot be read")
    private: bytes = fields.private
    return private


class Keys(NamedTuple):
    """For whom this machine seals its images."""

    slots: dict[str, Slot]
    """By name."""
    counter: int = 0
    """NV index of the TPM's counter, 0 without one."""


def read_keys(path: str | None = None) -> Keys:
    """Return the keys of this machine. Raises StateError, UnreadableError."""
    path = path or SLOTS
    try:
        found = json.loads(read_text(path) or '{"slots": {}, "counter": 0}')
        slots = {name: _slot(fields) for name, fields in found["slots"].items()}
        return Keys(slots, int(found["counter"]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise StateError(f"{path} is not what torpor writes", NEW_KEYS) from error


def _slot(fields: dict[str, Any]) -> Slot:
    kind: Any = _KINDS[fields.pop("kind")]
    types = kind.__annotations__
    values = {
        name: bytes.fromhex(value) if types[name] is bytes else types[name](value)
        for name, value in fields.items()
    }
    if any(len(values[name]) != size for name, size in _SIZES.items() if name in values):
        raise ValueError
    slot: Slot = kind(**values)
    return slot


def write_keys(keys: Keys, path: str | None = None) -> None:
    """Keep the keys, root's only. Raises UnreadableError."""
    slots = {name: {"kind": kind_of(slot), **_fields(slot)} for name, slot in keys.slots.items()}
    text = json.dumps({"slots": slots, "counter": keys.counter}, indent=1)
    write_bytes(path or SLOTS, text.encode() + b"\n")


def _fields(slot: Slot) -> dict[str, str | int]:
    named = slot._asdict().items()
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in named}
