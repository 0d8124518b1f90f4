"""The guard: the file systems that an image holds mounted, as they were on their devices.

docs/FORMAT.md, "Guard"; what makes a fingerprint is in the package `guard`.
"""

from dataclasses import dataclass
from enum import IntEnum

from construct import ConstructError

from errors import DamagedError, UnsupportedError
from format import layout

MAX_ENTRIES = 4096


class Method(IntEnum):
    """What a fingerprint is made of; docs/FORMAT.md has the bytes of each."""

    EXT = 1
    XFS = 2
    BTRFS = 3
    FAT = 4
    EXFAT = 5
    SAMPLE = 6
    """Of a file system of another type: bytes from all over the device."""


@dataclass(frozen=True, slots=True)
class GuardEntry:
    """One device of a mounted file system."""

    method: Method
    identity: bytes
    """16 bytes that are the file system's own, its UUID where it has one."""
    device_size: int
    """In bytes."""
    fingerprint: bytes
    """SHA-256, 32 bytes."""
    file_system: str
    """Type, as in /proc/mounts."""
    device: str
    """Path of its node then, for messages and to tell two of one identity apart."""
    device_identity: str
    """What a layer of device-mapper or md calls itself, else ""."""
    mount_point: str


def build_guard(entries: list[GuardEntry]) -> bytes:
    """Return the section's bytes."""
    fields = [
        {
            "method": entry.method,
            "flags": 0,
            "identity": entry.identity,
            "device_size": entry.device_size,
            "fingerprint": entry.fingerprint,
            "file_system": _bytes(entry.file_system),
            "device": _bytes(entry.device),
            "device_identity": _bytes(entry.device_identity),
            "mount_point": _bytes(entry.mount_point),
        }
        for entry in entries
    ]
    built: bytes = layout.Guard.build({"entries": fields})
    return built


def parse_guard(data: bytes) -> list[GuardEntry]:
    """Return the entries of a section. Raises DamagedError, UnsupportedError."""
    if int.from_bytes(data[:4], "little") > MAX_ENTRIES:
        raise DamagedError("the guard claims more file systems than there can be")
    try:
        fields = layout.Guard.parse(data)
    except ConstructError:
        raise DamagedError("the guard cannot be read") from None
    entries = []
    for entry in fields.entries:
        if entry.flags or entry.method not in list(Method):
            raise UnsupportedError(f"the guard has a fingerprint of unknown kind {entry.method}")
        entries.append(
            GuardEntry(
                Method(entry.method),
                entry.identity,
                entry.device_size,
                entry.fingerprint,
                _text(entry.file_system),
                _text(entry.device),
                _text(entry.device_identity),
                _text(entry.mount_point),
            )
        )
    return entries


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "?" for c in text)
