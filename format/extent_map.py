"""The extent map: where on a device an image lies.

A chain of pages on that device; docs/FORMAT.md, "Extent map". All pages are counted from the
device's beginning, for a store in a file too.
"""

from array import array
from collections.abc import Callable, Iterator
from uuid import UUID

from errors import DamagedError
from format import PAGE_SIZE, layout
from format.checksum import Buffer, seed
from format.mark import Mark

MAX_EXTENTS = 1 << 18


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


def build_map(extents: Extents, image_uuid: UUID, pages: list[int]) -> Iterator[bytes]:
    """Yield the pages of the map, to be written at `pages`, map_pages(len(extents)) of them."""
    for sequence, following in enumerate([*pages[1:], 0]):
        part = slice(sequence * layout.MAP_EXTENTS, (sequence + 1) * layout.MAP_EXTENTS)
        yield layout.seal(
            seed(image_uuid),
            layout.MapPage,
            sequence=sequence,
            next_page=following,
            starts=extents.starts[part],
            counts=extents.counts[part],
        )


def read_map(mark: Mark, read_page: Callable[[int], Buffer], device_pages: int) -> Extents:
    """Return the extents of the marked image on a device of that many pages.

    They lie on the device, apart from each other, from the map, from page 0 and from the mark's
    page, and hold the image. Raises DamagedError for a map that says otherwise, and what
    `read_page` raises.
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
        page = _read_map_page(mark, sequence, page, read_page, extents)
    if len(extents) != mark.extent_count:
        raise DamagedError(f"extent map has {len(extents)} of {mark.extent_count} extents")
    _check_extents(extents, device_pages, taken)
    if sum(extents.counts) * PAGE_SIZE < mark.image_size:
        raise DamagedError(f"extent map is too short for {mark.image_size} bytes")
    return extents


def _read_map_page(
    mark: Mark, sequence: int, page: int, read_page: Callable[[int], Buffer], extents: Extents
) -> int:
    """Append the extents of one page of the map and return where the next one is."""
    data = read_page(page)
    damaged = f"page {sequence} of the extent map, page {page}, is damaged"
    fields = layout.parse(layout.MapPage, data, damaged)
    if (
        fields.magic != layout.MAP_MAGIC
        or fields.sequence != sequence
        or not layout.is_sealed(seed(mark.image_uuid), data)
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
