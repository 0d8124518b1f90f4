"""What a snapshot consists of: its pages, counted by what the kernel used them for.

docs/FORMAT.md, "Page types".
"""

from dataclasses import dataclass
from typing import Self

from construct import ConstructError

from format import layout
from format.errors import DamagedError


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
        return self.page_cache + self.anonymous + self.slab + self.kernel + self.other

    def build(self) -> bytes:
        """Return the section's bytes."""
        counts = {name: getattr(self, name) for name in self.__slots__}
        built: bytes = layout.PageTypes.build(counts)
        return built

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the counts in a section. Raises DamagedError."""
        try:
            fields = layout.PageTypes.parse(data)
        except ConstructError:
            raise DamagedError("the page types cannot be read") from None
        return cls(*(fields[name] for name in cls.__slots__))
