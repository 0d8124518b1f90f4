"""The mark, which makes an image visible to a boot, and the extent map: where on a device it lies.

docs/FORMAT.md, "Mark", "Extent map". The mark stands in the first page of a store at MARK_OFFSET,
in bytes that a swap header leaves unused. The map is a chain of pages on the device; all of those
are counted from its beginning, for a store in a file too.
"""

from array import array
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple, Self
from uuid import UUID

from errors import DamagedError, UnsupportedError
from format import PAGE_SIZE, layout
from format.checksum import Buffer, is_summed, seed
from format.first_page import MARK_MAGIC, MARK_OFFSET

if TYPE_CHECKING:
    from format.sealing import ImageKey

MAX_LOADS = 3
"""Boots that may end while they load the image: a kernel that dies of it would boot for ever."""

MAX_ATTEMPTS = 2
"""Times that the kernel is asked to become the image."""


MAX_EXTENTS = 1 << 18


class MarkState(IntEnum):
    """What the mark says of the image."""

    COMPLETE = 1
    LOADING = 2
    """A resumer has begun to load it: if the mark still says so at a boot, that one was cut off."""
    CLAIMED = 3
    """It was about to be restored, and may have been: never again."""


class Mark(NamedTuple):
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
    header_page: int = 0
    """Page on the device of a sealed image's superblock, which comes before the extent map."""

    @classmethod
    def parse(cls, first_page: Buffer, key: "ImageKey | None" = None) -> Self | None:
        """Return the mark in the bytes of a first page, or None where there is none.

        With the `key` of a sealed image it has to be of this image. Raises UnsupportedError or
        DamagedError.
        """
        data = first_page[MARK_OFFSET : MARK_OFFSET + layout.MARK_SIZE]
        layout.check_tag(key, data, "the mark")
        fields = layout.parse(layout.Mark, data, "the mark cannot be read")
        if fields.magic != MARK_MAGIC:
            return None
        if fields.version != layout.VERSION:
            raise UnsupportedError(f"mark of version {fields.version} is not known")
        if not is_summed(seed(fields.image_uuid), data):
            raise DamagedError("the mark has a wrong checksum")
        try:
            state = MarkState(fields.state)
        except ValueError:
            raise UnsupportedError(f"mark of state {fields.state} is not known") from None
        return layout.filled(cls, fields, state=state)

    def build(self, key: "ImageKey | None" = None) -> bytes:
        """Return the record's bytes, which belong at MARK_OFFSET."""
        return layout.summed(seed(self.image_uuid), layout.Mark, self, key=key)

    def why_spent(self) -> str:
        """Return why the image is never to be restored, "" if it may be."""
        if self.state == MarkState.CLAIMED:
            return "power was lost while it was being restored, or afterwards"
        if self.attempts >= MAX_ATTEMPTS:
            return f"the kernel refused it {self.attempts} times"
        if self.loads >= MAX_LOADS:
            return f"{self.loads} boots ended while they loaded it"
        return ""


class Extents:
    """Runs of pages on a device, in the order in which an image fills them."""

    __slots__ = ("counts", "starts")

    def __init__(self) -> None:
        self.starts = array("Q")
        self.counts = array("Q")

    def add(self, page: int, count: int = 1) -> None:
        """Append pages; a run that goes on where the last one ended makes it longer."""
        if self.starts and self.starts[-1] + self.counts[-1] == page:
            self.counts[-1] += count
        else:
            self.starts.append(page)
            self.counts.append(count)

    def __len__(self) -> int:
        return len(self.starts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Extents):
            return NotImplemented
        return self.starts == other.starts and self.counts == other.counts

    __hash__ = None  # type: ignore[assignment]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self.starts, self.counts, strict=True)


def map_pages(count: int) -> int:
    """Return how many pages the map of so many extents takes."""
    return -(-count // layout.MAP_EXTENTS)


def build_map(
    extents: Extents, image_uuid: UUID, pages: list[int], key: "ImageKey | None" = None
) -> Iterator[bytes]:
    """Yield the pages of the map, to be written at `pages`, map_pages(len(extents)) of them."""
    for sequence, following in enumerate([*pages[1:], 0]):
        part = slice(sequence * layout.MAP_EXTENTS, (sequence + 1) * layout.MAP_EXTENTS)
        yield layout.summed(
            seed(image_uuid),
            layout.MapPage,
            key=key,
            sequence=sequence,
            next_page=following,
            starts=extents.starts[part],
            counts=extents.counts[part],
        )


def read_map(
    mark: Mark,
    read_page: Callable[[int], Buffer],
    device_pages: int,
    key: "ImageKey | None" = None,
) -> Extents:
    """Return the extents of the marked image on a device of that many pages.

    With the `key` of a sealed image no page is looked at before its tag. The extents lie on the
    device, apart from each other, from the map, from page 0 and from the mark's page, and hold the
    image. Raises DamagedError for a map that says otherwise, and what `read_page` raises.
    """
    if not mark.extent_count or mark.extent_count > MAX_EXTENTS:
        raise DamagedError(f"the mark claims {mark.extent_count} extents")
    extents = Extents()
    taken = {0, mark.page}
    page = mark.map_page
    for sequence in range(map_pages(mark.extent_count)):
        if page >= device_pages:
            raise DamagedError(f"extent map leaves the device at page {page}")
        if page in taken:
            raise DamagedError(f"extent map lies on page {page}, which is taken")
        taken.add(page)
        data = read_page(page)
        layout.check_tag(key, data, f"page {sequence} of the extent map, page {page},")
        page = _take_map_page(mark, sequence, page, data, extents)
    if len(extents) != mark.extent_count:
        raise DamagedError(f"extent map has {len(extents)} of {mark.extent_count} extents")
    _check_extents(extents, device_pages, taken)
    if sum(extents.counts) * PAGE_SIZE < mark.image_size:
        raise DamagedError(f"extent map is too short for {mark.image_size} bytes")
    return extents


def _take_map_page(mark: Mark, sequence: int, page: int, data: Buffer, extents: Extents) -> int:
    """Append the extents of one page of the map and return where the next one is."""
    damaged = f"page {sequence} of the extent map, page {page}, is damaged"
    fields = layout.parse(layout.MapPage, data, damaged)
    if (
        fields.magic != layout.MAP_MAGIC
        or fields.sequence != sequence
        or not is_summed(seed(mark.image_uuid), data)
    ):
        raise DamagedError(damaged)
    extents.starts += fields.starts
    extents.counts += fields.counts
    following: int = fields.next_page
    return following


def _check_extents(extents: Extents, device_pages: int, taken: set[int]) -> None:
    """Check the extents without trusting one of them; `free` is the first page not yet taken."""
    free = 0
    for start, count in sorted([*((page, 1) for page in taken), *extents]):
        if start < free or not 0 < count <= device_pages - start:
            raise DamagedError(f"extent of {count} pages at page {start} is impossible")
        free = start + count
