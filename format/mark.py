"""The mark, which makes an image visible to a boot: docs/FORMAT.md, "Mark".

It stands in the first page of a store at MARK_OFFSET, in bytes that a swap header leaves unused.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Self
from uuid import UUID

from errors import DamagedError, UnsupportedError
from format import layout
from format.checksum import Buffer, seed
from format.first_page import MARK_MAGIC, MARK_OFFSET

MAX_LOADS = 3
"""Boots that may end while they load the image: a kernel that dies of it would boot for ever."""

MAX_ATTEMPTS = 2
"""Times that the kernel is asked to become the image."""


class MarkState(IntEnum):
    """What the mark says of the image."""

    COMPLETE = 1
    LOADING = 2
    """A resumer has begun to load it: if the mark still says so at a boot, that one was cut off."""
    CLAIMED = 3
    """It was about to be restored, and may have been: never again."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The few bytes that make an image visible; written last, cleared before the restore."""

    state: MarkState
    image_uuid: UUID
    image_size: int
    map_page: int
    """Page on the device of the first page of the extent map."""
    extent_count: int
    page: int
    """Page on the device that the mark stands in."""
    loads: int = 0
    """How often its loading has begun."""
    attempts: int = 0
    """How often the kernel was asked to restore it."""

    @classmethod
    def parse(cls, first_page: Buffer) -> Self | None:
        """Return the mark in the bytes of a first page, or None where there is none.

        Raises UnsupportedError or DamagedError.
        """
        data = first_page[MARK_OFFSET : MARK_OFFSET + layout.MARK_SIZE]
        fields = layout.parse(layout.Mark, data, "the mark cannot be read")
        if fields.magic != MARK_MAGIC:
            return None
        if fields.version != layout.VERSION:
            raise UnsupportedError(f"mark of version {fields.version} is not known")
        if not layout.is_sealed(seed(fields.image_uuid), data):
            raise DamagedError("the mark has a wrong checksum")
        try:
            state = MarkState(fields.state)
        except ValueError:
            raise UnsupportedError(f"mark of state {fields.state} is not known") from None
        return layout.filled(cls, fields, state=state)

    def build(self) -> bytes:
        """Return the record's bytes, which belong at MARK_OFFSET."""
        return layout.seal(seed(self.image_uuid), layout.Mark, self)

    def why_spent(self) -> str:
        """Return why the image is never to be restored, "" if it may be."""
        if self.state == MarkState.CLAIMED:
            return "the power went while it was being restored, or after it was"
        if self.attempts >= MAX_ATTEMPTS:
            return f"the kernel refused it {self.attempts} times"
        if self.loads >= MAX_LOADS:
            return f"{self.loads} boots ended while they loaded it"
        return ""
