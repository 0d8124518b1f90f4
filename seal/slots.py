"""The keys of this machine: for whom it seals its images, kept as /var/lib/torpor/seal/slots.json.

A slot has what it takes to seal without asking, and nothing that opens an image by itself: what a
boot needs goes into the image. So another slot takes no other initramfs.
"""

import json
import os
from typing import Any, NamedTuple

from errors import Attempt, ConfigurationError, StateError
from format import PAGE_SIZE, layout, sealed_layout, sodium
from format.checksum import Buffer
from linux.open_file import OpenFile, read_whole
from seal import age
from seal.recipients import Recipient, ToKeyFile, ToPassphrase
from state.files import read_text, write_bytes
from store.locate import name_of
from store.place import place_of

FOLDER = "/var/lib/torpor/seal"
SLOTS = f"{FOLDER}/slots.json"
SENDER = f"{FOLDER}/sender.key"

PASSES = 3
_SHARE = 16
"""Argon2id takes that part of the memory at most: a boot has not much more than its initramfs."""
_LEAST, _MOST = 8 << 10, 256 << 10
"""KiB of memory that Argon2id takes."""


class PassphraseSlot(NamedTuple):
    """A key pair whose private key a passphrase locks."""

    recipient: bytes
    salt: bytes
    passes: int
    kibibytes: int
    locked: bytes

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

    def found(self) -> "KeyFileSlot":
        """Return it with the place where the file is now.

        Raises StoreRefusedError, DeviceNotFoundError, UnreadableError, and ConfigurationError for
        a file that is another's.
        """
        place = place_of(self.path)
        _check_key_file(self)
        return self._replace(device=name_of(place.device), page=place.page)

    def wrap(self, secret: bytes) -> Recipient:
        """Return the recipient in an image with this key."""
        return ToKeyFile(self.page, self.device, age.wrap(self.recipient, secret))


Slot = PassphraseSlot | KeyFileSlot
_KINDS: dict[str, type[Slot]] = {"passphrase": PassphraseSlot, "keyfile": KeyFileSlot}
_NAMES = {cls: name for name, cls in _KINDS.items()}


def kind_of(slot: Slot) -> str:
    """Return the word for what opens it."""
    return _NAMES[type(slot)]


def new_passphrase_slot(passphrase: bytes, memory: int) -> PassphraseSlot:
    """Return a slot for a passphrase on a machine of so many KiB of memory."""
    private, salt = age.new_identity(), os.urandom(sodium.SALT_SIZE)
    kibibytes = max(_LEAST, min(_MOST, memory // _SHARE))
    key = sodium.stretch(passphrase, salt, PASSES, kibibytes << 10)
    if key is None:
        raise MemoryError
    locked = sodium.wrap(key, private)
    return PassphraseSlot(sodium.public_of(private), salt, PASSES, kibibytes, locked)


def new_key_file(path: str) -> KeyFileSlot:
    """Write a file with a new private key, its owner's only; return its slot.

    Raises UnreadableError, also where there is a file already, and what KeyFileSlot.found does.
    """
    private = age.new_identity()
    data = layout.build(sealed_layout.KeyFile, private=private)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with Attempt("write", path), OpenFile(os.open(path, flags, 0o600)) as file:
        os.write(file.fd, data)
        os.fsync(file.fd)
    slot = KeyFileSlot(sodium.public_of(private), os.path.abspath(path))
    try:
        slot.found()
    except BaseException:
        os.unlink(path)
        raise
    return slot


def _check_key_file(slot: KeyFileSlot) -> None:
    with Attempt("read", slot.path):
        data = read_whole(slot.path, PAGE_SIZE)
    private = private_in(data)
    if private is None or sodium.public_of(private) != slot.recipient:
        raise ConfigurationError(f"{slot.path} is not the key file that was made here")


def private_in(page: Buffer) -> bytes | None:
    """Return the private key in the page of a key file, None if it is none."""
    if len(page) != PAGE_SIZE or page[:8] != sealed_layout.KEY_FILE_MAGIC:
        return None
    fields = layout.parse(sealed_layout.KeyFile, page, "the key file cannot be read")
    private: bytes = fields.private
    return private


def read_slots(path: str | None = None) -> dict[str, Slot]:
    """Return the slots by their names. Raises StateError, UnreadableError."""
    path = path or SLOTS
    text = read_text(path)
    try:
        found = json.loads(text or "{}")
        return {name: _slot(fields) for name, fields in found.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise StateError(f"{path} is not what torpor writes") from error


def _slot(fields: dict[str, Any]) -> Slot:
    kind: Any = _KINDS[fields.pop("kind")]
    types = kind.__annotations__
    values = {
        name: bytes.fromhex(value) if types[name] is bytes else types[name](value)
        for name, value in fields.items()
    }
    slot: Slot = kind(**values)
    return slot


def write_slots(slots: dict[str, Slot], path: str | None = None) -> None:
    """Keep the slots, root's only. Raises UnreadableError."""
    found = {name: {"kind": kind_of(slot), **_fields(slot)} for name, slot in slots.items()}
    write_bytes(path or SLOTS, json.dumps(found, indent=1).encode() + b"\n")


def _fields(slot: Slot) -> dict[str, str | int]:
    named = slot._asdict().items()
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in named}
