"""The records of the seal, declared as those of format/layout: docs/FORMAT.md, "Seal"."""

from construct import (
    Bytes,
    Default,
    GreedyBytes,
    GreedyRange,
    Int16ul,
    Int32ul,
    Int64ul,
    Padded,
    Padding,
    Prefixed,
    Struct,
    Terminated,
)

from format.layout import TAG_SIZE, TEXT, each

_SHORT = Prefixed(Int16ul, GreedyBytes)

IMAGE_UUID = slice(32, 48)
SEAL_AT, RECIPIENTS_AT, TAG_AT, SIGNATURE_AT, SIGNATURE_END = 364, 412, 4008, 4024, 4088
"""In a superblock."""
MOST_RECIPIENTS = 3594
"""Bytes that they have room for together."""

Seal = Struct(
    "sender" / Bytes(32),
    "counter_index" / Int32ul,
    Padding(4),
    "counter" / Int64ul,
    "recipients" / Padded(2 + MOST_RECIPIENTS, _SHORT),
    Padding(TAG_SIZE),
    Padding(64),
    Padding(4),
)
"""What the superblock of a sealed image has besides, with room for its tag and signature."""

Recipients = Struct(
    "each" / GreedyRange(Struct("kind" / Int16ul, "body" / Prefixed(Int16ul, GreedyBytes))),
    Terminated,
)

Wrapped = Struct("recipient" / Bytes(32), "share" / Bytes(32), "secret" / Bytes(48))
ToKey = Struct("wrapped" / each(Wrapped), Terminated)
ToPassphrase = Struct(
    "salt" / Bytes(16),
    "passes" / Int32ul,
    "kibibytes" / Int32ul,
    "locked" / Bytes(48),
    "wrapped" / each(Wrapped),
    Terminated,
)
ToKeyFile = Struct("page" / Int64ul, "device" / TEXT, "wrapped" / each(Wrapped), Terminated)
_SEALED_BY_TPM = (
    "pcrs" / Int32ul,
    "parent" / _SHORT,
    "public" / _SHORT,
    "private" / _SHORT,
)
ToTpm = Struct(*_SEALED_BY_TPM, "locked" / Bytes(48), Terminated)
ToTpmAndPin = Struct(
    *_SEALED_BY_TPM,
    "pin_public" / _SHORT,
    "pin_private" / _SHORT,
    "locked" / Bytes(160),
    Terminated,
)
ByPin = Struct("salt" / Bytes(32), "wrapped" / each(Wrapped), Terminated)

KEY_FILE_MAGIC = b"TORPKEYF"
KeyFile = Struct("magic" / Default(Bytes(8), KEY_FILE_MAGIC), "private" / Bytes(32), Padding(4056))
"""The page of a file with a private key."""
