"""The machine facts: what an image needs of the machine, in words that a message can compare.

docs/FORMAT.md, "Machine facts".
"""

from dataclasses import dataclass
from typing import ClassVar, Self

from format import layout
from format.records import MACHINE_FACTS


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """Memory and processor of a machine."""

    ram_map: str
    """A line for each range of the firmware's memory map: first byte, last byte, type."""
    processor: str
    """What it is called."""
    processor_features: frozenset[str]
    """Names of the features that the kernel found (`flags` of /proc/cpuinfo)."""

    kind: ClassVar[int] = MACHINE_FACTS

    def build(self) -> bytes:
        """Return the section's bytes."""
        return layout.build(layout.MachineFacts, self)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the facts in a section. Raises DamagedError."""
        return layout.filled(
            cls, layout.parse(layout.MachineFacts, data, "the machine facts cannot be read")
        )
