"""The guard: the file systems that an image holds mounted, as they were on their devices.

docs/FORMAT.md, "Guard"; what makes a fingerprint is in the package `guard`.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Self

from errors import DamagedError, UnsupportedError
from format import layout
from format.records import GUARD

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


class Guard(list[GuardEntry]):
    """All devices of file systems that were mounted."""

    kind: ClassVar[int] = GUARD

    def build(self) -> bytes:
        """Return the section's bytes."""
        return layout.build(layout.Guard, entries=self)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the entries of a section. Raises DamagedError, UnsupportedError."""
        if int.from_bytes(data[:4], "little") > MAX_ENTRIES:
            raise DamagedError("the guard claims more file systems than there can be")
        return cls(
            _entry(found)
            for found in layout.parse(layout.Guard, data, "the guard cannot be read").entries
        )


def _entry(found: layout.Fields) -> GuardEntry:
    if found.flags or found.method not in list(Method):
        raise UnsupportedError(f"the guard has a fingerprint of unknown kind {found.method}")
    return layout.filled(GuardEntry, found, method=Method(found.method))
