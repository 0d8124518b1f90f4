"""What a snapshot consists of: its pages, counted by what the kernel used them for.

docs/FORMAT.md, "Page types".
"""

from dataclasses import asdict, dataclass
from typing import ClassVar, Self

from format import layout
from format.records import PAGE_TYPES


@dataclass(frozen=True, slots=True)
class PageTypes:
    """Pages of each type."""

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

    kind: ClassVar[int] = PAGE_TYPES

    @property
    def total(self) -> int:
        """Pages of the snapshot."""
        return sum(self.by_name().values())

    def by_name(self) -> dict[str, int]:
        """Return the pages of each type."""
        return asdict(self)

    def build(self) -> bytes:
        """Return the section's bytes."""
        return layout.build(layout.PageTypes, self)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the counts in a section. Raises DamagedError."""
        return layout.filled(
            cls, layout.parse(layout.PageTypes, data, "the page types cannot be read")
        )
