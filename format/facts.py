"""The machine facts: what an image needs of the machine, in words that a message can compare.

docs/FORMAT.md, "Machine facts".
"""

from dataclasses import dataclass
from typing import Self

from construct import ConstructError

from errors import DamagedError
from format import layout


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """Memory and processor of a machine."""

    ram_map: str
    """A line for each range of the firmware's memory map: first byte, last byte, type."""
    processor: str
    """What it is called."""
    processor_features: frozenset[str]
    """Names of the features that the kernel found (`flags` of /proc/cpuinfo)."""

    def build(self) -> bytes:
        """Return the section's bytes."""
        built: bytes = layout.MachineFacts.build(
            {
                "ram_map": self.ram_map.encode(),
                "processor": self.processor.encode(),
                "processor_features": " ".join(sorted(self.processor_features)).encode(),
            }
        )
        return built

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the facts in a section. Raises DamagedError."""
        try:
            fields = layout.MachineFacts.parse(data)
        except ConstructError:
            raise DamagedError("the machine facts cannot be read") from None
        features = _text(fields.processor_features).split()
        return cls(_text(fields.ram_map), _text(fields.processor), frozenset(features))


def _text(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
