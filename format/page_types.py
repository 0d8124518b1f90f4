"""What a snapshot consists of: its pages, counted by what the kernel used them for.

docs/FORMAT.md, "Page types".
"""

from dataclasses import asdict, dataclass
from typing import Self

from construct import ConstructError

from errors import DamagedError
from format import layout


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

    @property
    def total(self) -> int:
        """Pages of the snapshot."""
        return sum(self.by_name().values())

    def by_name(self) -> dict[str, int]:
        """Return the pages of each type."""
        return asdict(self)

    def build(self) -> bytes:
        """Return the section's bytes."""
        built: bytes = layout.PageTypes.build(self.by_name())
        return built

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the counts in a section. Raises DamagedError."""
        try:
            fields = layout.PageTypes.parse(data)
        except ConstructError:
            raise DamagedError("the page types cannot be read") from None
        return cls(fields.page_cache, fields.anonymous, fields.slab, fields.kernel, fields.other)
