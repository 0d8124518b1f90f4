"""The records of an image as named tuples: each with `parse` and `build`.

`parse` checks in one order (magic, version, flags, sizes, checksum) and raises one error class
for each; what it returns has been checked. Texts are as os.fsdecode has them.
"""

from typing import TYPE_CHECKING, NamedTuple, Protocol, Self
from uuid import UUID

from errors import DamagedError, NoImageError, UnsupportedError
from format import PAGE_SIZE, layout
from format.checksum import CHECKSUM_SIZE, Buffer, is_summed, seed, with_checksum
from format.first_page import SUPERBLOCK_MAGIC

if TYPE_CHECKING:
    from array import array

    from format.sealing import ImageKey, Seal, Sealing

KERNEL_STREAM = 1
"""The kind of the section that holds what /dev/snapshot gave; the others are tables."""
GUARD = 2
MACHINE_FACTS = 3
WORKING_SET = 4
PAGE_TYPES = 5
HINTS = (WORKING_SET, PAGE_TYPES)
"""Sections whose damage is no reason not to restore the image."""

MIN_CHUNK_SIZE = PAGE_SIZE
MAX_CHUNK_SIZE = 4 << 20
MAX_SECTIONS = 16
MAX_CHUNKS = 1 << 20
MAX_TABLE_SIZE = 1 << 20
"""Bytes of a section that is no stream: it is read as a whole."""
MAX_WORKING_SET_SIZE = 16 << 20
"""Bytes of that table."""


class Table(Protocol):
    """What is in a section that is read as a whole: format/tables has all."""

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return what the section says. Raises DamagedError, UnsupportedError."""


class Identity(NamedTuple):
    """The machine and kernel an image belongs to."""

    kernel_release: str
    kernel_version: str
    machine: str
    host_name: str
    ram_map_digest: bytes
    """SHA-256 of the firmware's memory map (linux.machine.ram_map_digest)."""
    machine_id: str
    """The installation: 32 hex digits of machine-id(5), or "" where it is not known."""


class Superblock(NamedTuple):
    """The first page of an image."""

    image_uuid: UUID
    created_ns: int
    """Nanoseconds since 1970, UTC."""
    chunk_size: int
    """Bytes of stream in each chunk but a section's last, whole pages."""
    identity: Identity
    platform: bool
    """Whether the firmware powered the machine off (ACPI S4), and so has to be told of a resume."""
    seal: "Seal | None" = None
    """Who sealed the image, and for whom; None for one that is not sealed."""
    version: int = layout.IMAGE_VERSION

    @property
    def alignment(self) -> int:
        """What the parts of the image are multiples of, in bytes."""
        return 1 if self.version == layout.OLD_VERSION else PAGE_SIZE

    @property
    def header_size(self) -> int:
        """Bytes of a section's header."""
        return 32 if self.version == layout.OLD_VERSION else layout.SECTION_HEADER_SIZE

    @classmethod
    def parse(cls, data: Buffer) -> Self:
        """Return the superblock in `data`, of SUPERBLOCK_SIZE bytes.

        Raises NoImageError, UnsupportedError or DamagedError.
        """
        fields = layout.parse(layout.Superblock, data, "superblock cannot be read")
        if fields.magic != SUPERBLOCK_MAGIC:
            raise NoImageError("no image: the first bytes are not an image's")
        if fields.version not in (layout.IMAGE_VERSION, layout.OLD_VERSION):
            raise UnsupportedError(f"image format version {fields.version} is not known")
        known = 0 if fields.version == layout.OLD_VERSION else layout.SEALED
        if unknown := fields.required_flags & ~known:
            raise UnsupportedError(f"image needs unknown features {unknown:#x}")
        if fields.page_size != PAGE_SIZE:
            raise UnsupportedError(f"pages of {fields.page_size} bytes are not supported")
        size = fields.chunk_size
        if not MIN_CHUNK_SIZE <= size <= MAX_CHUNK_SIZE or size % PAGE_SIZE:
            raise DamagedError(f"superblock has an impossible chunk size of {size} bytes")
        if not is_summed(seed(fields.image_uuid), data):
            raise DamagedError("superblock has a wrong checksum")
        identity = layout.filled(Identity, fields)
        return layout.filled(cls, fields, identity=identity, seal=_seal(fields))

    def build(self, sealing: "Sealing | None" = None) -> bytes:
        """Return the record's bytes, sealed if it is to be."""
        flags = layout.SEALED if sealing else 0
        unsealed = self._asdict() | self.identity._asdict()
        del unsealed["seal"]
        built = layout.summed(
            seed(self.image_uuid), layout.Superblock, required_flags=flags, **unsealed
        )
        return sealing.close(built, self.image_uuid) if sealing else built


def _seal(fields: layout.Fields) -> "Seal | None":
    if not fields.required_flags & layout.SEALED:
        return None
    from format.sealing import Seal  # libsodium, for sealed images only

    return Seal.parse(fields.seal)


class Section(NamedTuple):
    """A run of chunks that hold one thing; in the index and, without its length, before them."""

    kind: int
    first_chunk: int
    chunk_count: int
    raw_bytes: int

    def build_header(self, crc: int, size: int = layout.SECTION_HEADER_SIZE) -> bytes:
        """Return the header, of that size, that stands before the section's first chunk."""
        bare = layout.build(layout.SectionHeader, self)[: size - CHECKSUM_SIZE]
        return with_checksum(crc, bare)


class Index(NamedTuple):
    """Where every chunk is, and the chunks' checksums once more."""

    sections: tuple[Section, ...]
    offsets: "array[int]"
    """Offset in the image of each chunk's header (u64)."""
    checksums: "array[int]"
    """Checksum of each chunk (u32)."""

    @classmethod
    def parse(cls, data: Buffer, superblock: Superblock, key: "ImageKey | None" = None) -> Self:
        """Return the index in `data`, all of it. Raises UnsupportedError or DamagedError.

        That the offsets fit the image is for the reader to check: it knows the image. With the
        `key` of a sealed image nothing else is looked at before the tag.
        """
        version = superblock.version
        layout.check_tag(key, data, "index")
        header = layout.parse(layout.IndexHeader, data, "index cannot be read")
        if header.magic != layout.INDEX_MAGIC:
            raise DamagedError("no index where the trailer names it")
        if header.section_count > MAX_SECTIONS or header.chunk_count > MAX_CHUNKS:
            raise DamagedError(
                f"index claims {header.section_count} sections, {header.chunk_count} chunks"
            )
        if len(data) != layout.index_size(header.section_count, header.chunk_count, version):
            raise DamagedError(f"index of {len(data)} bytes does not fit its own counts")
        if not is_summed(seed(superblock.image_uuid), data):
            raise DamagedError("index has a wrong checksum")
        record = layout.OldIndex if version == layout.OLD_VERSION else layout.Index
        fields = layout.parse(record, data, "index cannot be read")
        sections = tuple(_section(entry) for entry in fields.sections)
        _check_sections(sections, header.chunk_count, superblock.chunk_size)
        return layout.filled(cls, fields, sections=sections)

    def build(self, image_uuid: UUID, key: "ImageKey | None" = None) -> bytes:
        """Return the record's bytes."""
        return layout.summed(seed(image_uuid), layout.Index, self, key=key)


def _section(entry: layout.Fields) -> Section:
    if entry.flags or not KERNEL_STREAM <= entry.kind <= PAGE_TYPES:
        raise UnsupportedError(f"image has a section of unknown kind {entry.kind}")
    return layout.filled(Section, entry)


def _check_sections(sections: tuple[Section, ...], chunk_count: int, chunk_size: int) -> None:
    """Check that the sections share out the chunks in order, the stream first, each kind once."""
    kinds = [section.kind for section in sections]
    if kinds.count(KERNEL_STREAM) != 1:
        streams = kinds.count(KERNEL_STREAM)
        raise DamagedError(f"image has {streams} kernel streams instead of one")
    if kinds[0] != KERNEL_STREAM or len(set(kinds)) != len(kinds):
        raise DamagedError(f"image has sections in an impossible order: {kinds}")
    first = 0
    for section in sections:
        whole, rest = divmod(section.raw_bytes, chunk_size)
        if (
            section.first_chunk != first
            or section.chunk_count != whole + bool(rest)
            or not _is_possible(section)
        ):
            raise DamagedError(f"index has an impossible section at chunk {section.first_chunk}")
        first += section.chunk_count
    if first != chunk_count:
        raise DamagedError(f"sections hold {first} of {chunk_count} chunks")


def _is_possible(section: Section) -> bool:
    if section.kind == KERNEL_STREAM:
        return section.raw_bytes % PAGE_SIZE == 0
    return 0 < section.raw_bytes <= largest_table(section.kind)


def largest_table(kind: int) -> int:
    """Return how many bytes a table of this kind may have."""
    return MAX_WORKING_SET_SIZE if kind == WORKING_SET else MAX_TABLE_SIZE


class Trailer(NamedTuple):
    """The last bytes of an image: what has none is incomplete."""

    image_uuid: UUID
    image_size: int
    """Bytes of the image, this trailer included."""
    index_offset: int
    index_size: int

    @classmethod
    def parse(cls, data: Buffer, image_uuid: UUID, key: "ImageKey | None" = None) -> Self | None:
        """Return the trailer in `data`, or None where there is none for this image.

        Raises DamagedError. `key` as for an index.
        """
        layout.check_tag(key, data, "trailer")
        fields = layout.parse(layout.Trailer, data, "trailer cannot be read")
        if fields.magic != layout.TRAILER_MAGIC or fields.image_uuid != image_uuid:
            return None
        if not is_summed(seed(image_uuid), data):
            raise DamagedError("trailer has a wrong checksum")
        return layout.filled(cls, fields)

    def build(self, key: "ImageKey | None" = None) -> bytes:
        """Return the record's bytes."""
        return layout.summed(seed(self.image_uuid), layout.Trailer, self, key=key)
