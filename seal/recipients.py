"""Who may have the key of a sealed image: the recipients in its superblock, by kind.

docs/FORMAT.md, "Seal". They are looked at once the superblock is authenticated, or by who asks for
an image in a file with a key of his own.
"""

from collections.abc import Iterable
from typing import NamedTuple, Self

from errors import TorporError
from format import layout, sealed_layout
from format.checksum import Buffer
from format.layout import Fields
from seal.age import Wrapped


class ToKey(NamedTuple):
    """Whoever has the private key."""

    wrapped: Wrapped


class ToPassphrase(NamedTuple):
    """Whoever knows a passphrase."""

    salt: bytes
    passes: int
    kibibytes: int
    """Of memory that Argon2id takes."""
    locked: bytes
    """The private key that the image's is wrapped for, locked by the passphrase."""
    wrapped: Wrapped


class ToKeyFile(NamedTuple):
    """A boot that has opened the device on which a file with the private key lies."""

    page: int
    """Number of the file's page on the device."""
    device: str
    """As resume= names one."""
    wrapped: Wrapped


class ToTpm(NamedTuple):
    """A boot that measures what this one did."""

    pcrs: int
    """Bit n: PCR n of the bank of SHA-256."""
    parent: bytes
    """Name of the TPM's primary key, below which the secret is sealed."""
    public: bytes
    private: bytes
    locked: bytes
    """The image's key, locked by the secret."""


class ToTpmAndPin(NamedTuple):
    """Such a boot, and whoever knows a PIN."""

    pcrs: int
    parent: bytes
    public: bytes
    private: bytes
    pin_public: bytes
    pin_private: bytes
    """The private key that the image's is wrapped for, sealed in the TPM with the PIN."""
    locked: bytes
    """ByPin, locked by the secret."""


class ByPin(NamedTuple):
    """What it takes besides the PIN."""

    salt: bytes
    """Of seal.tpm.Tpm.seal_with_pin: secret."""
    wrapped: Wrapped

    @classmethod
    def parse(cls, data: Buffer) -> Self:
        """Return what the bytes say. Raises DamagedError."""
        fields = layout.parse(sealed_layout.ByPin, data, "superblock has no salt for the PIN")
        return layout.filled(cls, fields, wrapped=layout.filled(Wrapped, fields.wrapped))

    def build(self) -> bytes:
        """Return it as bytes."""
        return layout.build(sealed_layout.ByPin, self)


Recipient = ToKey | ToPassphrase | ToKeyFile | ToTpm | ToTpmAndPin

_KINDS: dict[int, type[Recipient]] = {
    1: ToKey,
    2: ToPassphrase,
    3: ToKeyFile,
    4: ToTpm,
    5: ToTpmAndPin,
}
_RECORDS = {kind: getattr(sealed_layout, cls.__name__) for kind, cls in _KINDS.items()}
_NUMBERS = {cls: kind for kind, cls in _KINDS.items()}


_WORDS: dict[type[Recipient], str] = {
    ToKey: "key",
    ToPassphrase: "passphrase",
    ToKeyFile: "keyfile",
    ToTpm: "tpm2",
    ToTpmAndPin: "tpm2+pin",
}


def words(data: bytes) -> list[str]:
    """Return what opens the image, as `parse`, in the words of torpor enable --seal."""
    return [_WORDS[type(one)] for one in parse(data)]


def build(recipients: Iterable[Recipient]) -> bytes:
    """Return what the superblock says of them. Raises TorporError if it has no room for all."""
    each = [
        {
            "kind": (kind := _NUMBERS[type(one)]),
            "body": layout.build(_RECORDS[kind], one),
        }
        for one in recipients
    ]
    built = layout.build(sealed_layout.Recipients, each=each)
    if len(built) > sealed_layout.MOST_RECIPIENTS:
        raise TorporError(f"an image has no room for {len(each)} recipients, {len(built)} bytes")
    return built


def parse(data: bytes) -> list[Recipient]:
    """Return the recipients of a kind that is known. Raises DamagedError."""
    wrong = "superblock has recipients that cannot be read"
    found = layout.parse(sealed_layout.Recipients, data, wrong)
    return [
        _recipient(one.kind, layout.parse(_RECORDS[one.kind], one.body, wrong))
        for one in found.each
        if one.kind in _RECORDS
    ]


def _recipient(kind: int, fields: Fields) -> Recipient:
    if "wrapped" in fields:
        wrapped = layout.filled(Wrapped, fields.wrapped)
        return layout.filled(_KINDS[kind], fields, wrapped=wrapped)
    return layout.filled(_KINDS[kind], fields)
