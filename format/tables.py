"""The tables of an image, but for the working set: what each holds, and its bytes.

docs/FORMAT.md, "Guard", "Machine facts", "Page types".
"""

from enum import IntEnum
from typing import NamedTuple, Self

from errors import DamagedError, UnsupportedError
from format import layout
from format.records import GUARD, MACHINE_FACTS, PAGE_TYPES, WORKING_SET, Table

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
    NTFS = 7
    F2FS = 8
    NILFS2 = 9
    BCACHEFS = 10
    XFS_LOG = 11
    SWAP = 12
    """Or a store: which one it is."""


class GuardEntry(NamedTuple):
    """One device of a mounted file system, of swap, or a store."""

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
    layers: str = ""
    """A line for each layer below, as guard.layers describes it; "" in images of 0.1.0."""


class Guard(list[GuardEntry]):
    """All devices that were mounted or swap; the package `guard` makes the fingerprints."""

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
    if found.flags & ~layout.WITH_LAYERS or found.method not in list(Method):
        raise UnsupportedError(f"the guard has a fingerprint of unknown kind {found.method}")
    return layout.filled(GuardEntry, found, method=Method(found.method))


class MachineFacts(NamedTuple):
    """Memory and processor that an image needs, in words that a message can compare."""

    ram_map: str
    """A line for each range of the firmware's memory map: first byte, last byte, type."""
    processor: str
    """What it is called."""
    processor_features: frozenset[str]
    """Names of the features that the kernel found (`flags` of /proc/cpuinfo)."""

    def build(self) -> bytes:
        """Return the section's bytes."""
        return layout.build(layout.MachineFacts, self)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the facts in a section. Raises DamagedError."""
        return layout.filled(
            cls, layout.parse(layout.MachineFacts, data, "the machine facts cannot be read")
        )


class PageTypes(NamedTuple):
    """Pages of a snapshot by what the kernel used them for, estimated from a sample."""

    page_cache: int
    """Of files on disks, and the metadata of their file systems."""
    anonymous: int
    """Of processes, shared memory and tmpfs."""
    slab: int
    """The kernel's objects."""
    kernel: int
    """What else the kernel has got for itself, its own code and data too."""
    other: int
    """What is in the image and in none of these: free by now, or not to be classified."""
    sample: int
    """Pages that were looked at."""

    @property
    def total(self) -> int:
        """About the pages of the snapshot."""
        return sum(self.by_name().values())

    def by_name(self) -> dict[str, int]:
        """Return about how many pages there are of each type."""
        return {name: count for name, count in self._asdict().items() if name != "sample"}

    def build(self) -> bytes:
        """Return the section's bytes."""
        return layout.build(layout.PageTypes, self)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the counts in a section. Raises DamagedError."""
        return layout.filled(
            cls, layout.parse(layout.PageTypes, data, "the page types cannot be read")
        )


def all_tables() -> dict[int, type[Table]]:
    """Return every table that there is by the kind of its section."""
    from format.working_set import WorkingSet  # which no resume reads

    return {
        GUARD: Guard,
        MACHINE_FACTS: MachineFacts,
        WORKING_SET: WorkingSet,
        PAGE_TYPES: PageTypes,
    }
