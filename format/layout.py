"""Every record, declared in construct, and the way from fields to bytes and back.

docs/FORMAT.md is the specification; the names are the same. All integers are little-endian.
A record of an image ends in `checksum`: CRC-32C over the image's UUID, then the record's bytes
before the checksum, then, for a chunk, its payload and the zeros behind it. Reserved bytes are
zero, and not looked at.

A named tuple has a record's fields by name; what is always the same stands here alone. None of
construct's errors gets out.
"""

from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar
from uuid import UUID

from construct import (
    Array,
    Bytes,
    Computed,
    Construct,
    ConstructError,
    Container,
    Default,
    ExprAdapter,
    GreedyBytes,
    IfThenElse,
    Int8ul,
    Int16ul,
    Int32ul,
    Int64ul,
    Padded,
    Padding,
    Prefixed,
    PrefixedArray,
    Rebuild,
    Struct,
    Terminated,
    len_,
    this,
)

from errors import DamagedError, TorporError
from format import PAGE_SIZE
from format.checksum import CHECKSUM_SIZE, Buffer, with_checksum
from format.first_page import MARK_MAGIC, SUPERBLOCK_MAGIC

if TYPE_CHECKING:
    from format.sealing import ImageKey

IMAGE_VERSION = 2
OLD_VERSION = 1
"""Of images that 0.1.0 wrote: they are read, but not restored."""
VERSION = 1
"""Of a mark, and of a file with a working set."""

CHUNK_MAGIC = b"TCHK"
INDEX_MAGIC = b"TIDX"
TRAILER_MAGIC = b"TORPDONE"
MAP_MAGIC = b"TORPXMAP"
WORKING_SET_MAGIC = b"TORPWSET"

MAP_EXTENTS = 253
"""Extents in one page of the map."""

WITHOUT_PATHS = 1
"""Flag of a working set: a file's name is its handle."""
INCOMPLETE = 2
"""Flag of a working set: there was more, but no time or room for it."""

WITH_LAYERS = 1
"""Flag of an entry of the guard: it says what the device lies on."""

_PLATFORM = 1
"""Optional flag: the machine was powered off by its firmware (ACPI S4)."""
SEALED = 1
"""Required flag: the image is sealed."""
TAG_SIZE = 16
"""Bytes of what authenticates a record of a sealed image."""
_SEAL_SIZE = 3728
_NAME_SIZE = 65
"""Size of a string of utsname, its end included (include/uapi/linux/utsname.h)."""


def column(typecode: str, data: bytes) -> "array[int]":
    """Return the little-endian column `data` of typecode "Q" (u64) or "I" (u32)."""
    values = array(typecode, data)
    if array("H", b"\1\0")[0] != 1:
        values.byteswap()
    return values


def _adapted(
    inner: Construct, decode: Callable[[Any], object], encode: Callable[[Any], object]
) -> Construct:
    return ExprAdapter(inner, lambda value, _: decode(value), lambda value, _: encode(value))


def _column(typecode: str, data: Construct) -> Construct:
    return _adapted(
        data,
        lambda data: column(typecode, data),
        lambda values: column(typecode, values.tobytes()).tobytes(),
    )


def _encoded(text: str) -> bytes:
    # The kernel gives bytes that are no UTF-8, and they come as surrogates: names may be anything.
    return text.encode("utf-8", "surrogateescape")


def _decoded(data: bytes) -> str:
    """Return a text as os.fsdecode has it: not to be shown unfiltered (linux/line.py)."""
    return data.decode("utf-8", "surrogateescape")


def _texts(size: Construct) -> Construct:
    return _adapted(Prefixed(size, GreedyBytes), _decoded, _encoded)


_UUID = _adapted(Bytes(16), lambda data: UUID(bytes=data), lambda uuid: uuid.bytes)
_NAME = _adapted(
    Bytes(_NAME_SIZE),
    lambda data: _decoded(data.split(b"\0", 1)[0]),
    lambda text: _encoded(text)[: _NAME_SIZE - 1].ljust(_NAME_SIZE, b"\0"),
)
_MACHINE_ID = _adapted(
    Bytes(16),
    lambda data: data.hex() if any(data) else "",
    lambda digits: bytes.fromhex(digits).ljust(16, b"\0"),
)
TEXT = _texts(Int16ul)
_LINES = _texts(Int32ul)
_WORDS = _adapted(
    _LINES, lambda text: frozenset(text.split()), lambda words: " ".join(sorted(words))
)
_BYTES = Prefixed(Int32ul, GreedyBytes)
_ZERO = Default(Int32ul, 0)
_TAGGED = (Padding(TAG_SIZE), "checksum" / _ZERO)
"""The end of a record that a sealed image authenticates; the tag is reserved in another image."""


T = TypeVar("T", bound=NamedTuple)

Fields: TypeAlias = Container
"""What `parse` found in a record, by name."""


def each(record: Construct) -> Construct:
    """Return the record as one within another, which is built of a named tuple."""
    return _adapted(record, lambda found: found, lambda one: one._asdict())


Superblock = Struct(
    "magic" / Default(Bytes(8), SUPERBLOCK_MAGIC),
    "version" / Default(Int32ul, IMAGE_VERSION),
    "required_flags" / _ZERO,
    "platform" / _adapted(Int32ul, lambda flags: bool(flags & _PLATFORM), int),
    "page_size" / Default(Int32ul, PAGE_SIZE),
    "chunk_size" / Int32ul,
    Padding(4),
    "image_uuid" / _UUID,
    "created_ns" / Int64ul,
    "ram_map_digest" / Bytes(32),
    "kernel_release" / _NAME,
    "kernel_version" / _NAME,
    "machine" / _NAME,
    "host_name" / _NAME,
    "machine_id" / _MACHINE_ID,
    "seal" / Default(Bytes(_SEAL_SIZE), bytes(_SEAL_SIZE)),
    "checksum" / _ZERO,
)
"""`platform` is bit 0 of the optional flags; `seal` is reserved without the flag SEALED."""

SectionHeader = Struct(
    "magic" / Default(Bytes(4), b"TSEC"),
    "kind" / Int32ul,
    "flags" / _ZERO,
    "first_chunk" / Int32ul,
    Padding(4076),
    "checksum" / _ZERO,
)

ChunkHeader = Struct(
    "magic" / Default(Bytes(4), CHUNK_MAGIC),
    "codec" / Int8ul,
    "flags" / Default(Int8ul, 0),
    Padding(2),
    "number" / Int64ul,
    "raw_size" / Int32ul,
    "stored_size" / Int32ul,
    Padding(20),
    "checksum" / _ZERO,
)

IndexHeader = Struct(
    "magic" / Default(Bytes(4), INDEX_MAGIC),
    "section_count" / Rebuild(Int32ul, len_(this.sections)),
    "chunk_count" / Rebuild(Int32ul, len_(this.offsets)),
    Padding(4),
)

IndexSection = Struct(
    "kind" / Int32ul,
    "flags" / _ZERO,
    "first_chunk" / Int32ul,
    "chunk_count" / Int32ul,
    "raw_bytes" / Int64ul,
)

Index = Struct(
    *IndexHeader.subcons,
    "sections" / Array(this.section_count, each(IndexSection)),
    "offsets" / _column("Q", Bytes(this.chunk_count * 8)),
    "checksums" / _column("I", Bytes(this.chunk_count * 4)),
    Padding(lambda index: _index_padding(index.section_count, index.chunk_count)),
    *_TAGGED,
)
"""`offsets` and `checksums` have one value for each chunk's header."""

OldIndex = Struct(*Index.subcons[:-3], "checksum" / _ZERO)
"""That of an image of version 1."""

Trailer = Struct(
    "magic" / Default(Bytes(8), TRAILER_MAGIC),
    "image_uuid" / _UUID,
    "image_size" / Int64ul,
    "index_offset" / Int64ul,
    "index_size" / Int32ul,
    *_TAGGED,
)

Mark = Struct(
    "magic" / Default(Bytes(8), MARK_MAGIC),
    "version" / Default(Int16ul, VERSION),
    "state" / Int16ul,
    Padding(4),
    "image_uuid" / _UUID,
    "image_size" / Int64ul,
    "map_page" / Int64ul,
    "extent_count" / Int32ul,
    "page" / Int64ul,
    "loads" / Int16ul,
    "attempts" / Int16ul,
    "header_page" / Int64ul,
    Padding(164),
    *_TAGGED,
)

MapPage = Struct(
    "magic" / Default(Bytes(8), MAP_MAGIC),
    "sequence" / Int32ul,
    "extent_count" / Rebuild(Int32ul, len_(this.starts)),
    "next_page" / Int64ul,
    "starts" / Padded(MAP_EXTENTS * 8, _column("Q", Bytes(this.extent_count * 8))),
    "counts" / Padded(MAP_EXTENTS * 8, _column("Q", Bytes(this.extent_count * 8))),
    Padding(4),
    *_TAGGED,
)
"""An extent is one of `starts`, its first page on the device, and one of `counts`, its pages."""

GuardEntry = Struct(
    "method" / Int16ul,
    "flags" / Default(Int16ul, WITH_LAYERS),
    "identity" / Bytes(16),
    "device_size" / Int64ul,
    "fingerprint" / Bytes(32),
    "file_system" / TEXT,
    "device" / TEXT,
    "device_identity" / TEXT,
    "mount_point" / TEXT,
    "layers" / IfThenElse(this.flags & WITH_LAYERS, _LINES, Computed("")),
)

Guard = Struct("entries" / PrefixedArray(Int32ul, each(GuardEntry)), Terminated)

MachineFacts = Struct(
    "ram_map" / _LINES,
    "processor" / _LINES,
    "processor_features" / _WORDS,
    Terminated,
)

WorkingSetFileSystem = Struct(
    "file_count" / Rebuild(Int32ul, len_(this.files)),
    "device" / TEXT,
    "root" / TEXT,
    "mount_point" / TEXT,
)

WorkingSetHead = Struct(
    "flags" / Int32ul,
    "boot_id" / _UUID,
    "file_systems" / PrefixedArray(Int32ul, each(WorkingSetFileSystem)),
)

WorkingSet = Struct(
    *WorkingSetHead.subcons,
    "names" / _BYTES,
    "checks" / _BYTES,
    "ranges" / _BYTES,
    "processes" / _BYTES,
    Terminated,
)
"""`names`, `ranges` and `processes` are columns of LEB128; `checks` is one of u32."""

WorkingSetFile = Struct(
    "magic" / Default(Bytes(8), WORKING_SET_MAGIC),
    "version" / Default(Int32ul, VERSION),
    "working_set" / _BYTES,
    "checksum" / _ZERO,
    Terminated,
)

PageTypes = Struct(
    "page_cache" / Int64ul,
    "anonymous" / Int64ul,
    "slab" / Int64ul,
    "kernel" / Int64ul,
    "other" / Int64ul,
    "sample" / Int64ul,
    Terminated,
)

SUPERBLOCK_SIZE: int = Superblock.sizeof()
SECTION_HEADER_SIZE: int = SectionHeader.sizeof()
CHUNK_HEADER_SIZE: int = ChunkHeader.sizeof()
INDEX_SECTION_SIZE: int = IndexSection.sizeof()
INDEX_FIXED_SIZE: int = IndexHeader.sizeof() + TAG_SIZE + CHECKSUM_SIZE
SMALLEST_INDEX = INDEX_FIXED_SIZE - TAG_SIZE
TRAILER_SIZE: int = Trailer.sizeof()
MARK_SIZE: int = Mark.sizeof()


def index_size(sections: int, chunks: int, version: int = IMAGE_VERSION) -> int:
    """Return the size in bytes of an index of that many sections and chunks."""
    if version == OLD_VERSION:
        return _bare_index_size(sections, chunks) - TAG_SIZE
    return _bare_index_size(sections, chunks) + _index_padding(sections, chunks)


def _bare_index_size(sections: int, chunks: int) -> int:
    return INDEX_FIXED_SIZE + sections * INDEX_SECTION_SIZE + chunks * 12


def _index_padding(sections: int, chunks: int) -> int:
    """Return how many zeros an index has, so that index and trailer are whole pages."""
    return -(_bare_index_size(sections, chunks) + TRAILER_SIZE) % PAGE_SIZE


def build(record: Struct, *parts: NamedTuple, **others: object) -> bytes:
    """Return the bytes of a record whose fields are those of `parts` and, before them, `others`.

    Raises TorporError for a value that the record has no room for.
    """
    values: dict[str, object] = {}
    for part in parts:
        values |= part._asdict()
    try:
        built: bytes = record.build(values | others)
    except ConstructError as error:
        field, _, reason = str(error).rpartition("-> ")[2].partition("\n")
        raise TorporError(f"an image cannot hold this {field}: {reason}") from error
    return built


def summed(
    crc: int, record: Struct, *parts: NamedTuple, key: "ImageKey | None" = None, **others: object
) -> bytes:
    """Build the record and put the checksum, continued from `crc`, into its last four bytes.

    With a `key` its tag goes into the sixteen bytes before.
    """
    bare = build(record, *parts, **others)[:-CHECKSUM_SIZE]
    if key:
        bare = bare[:-TAG_SIZE] + key.tag(bare[:-TAG_SIZE])
    return with_checksum(crc, bare)


def check_tag(key: "ImageKey | None", data: Buffer, name: str) -> None:
    """Raise DamagedError unless the record has the tag of the key, if there is a key."""
    bare, tag = data[: -TAG_SIZE - CHECKSUM_SIZE], data[-TAG_SIZE - CHECKSUM_SIZE :]
    if key and not key.is_tagged(bare, tag[:TAG_SIZE]):
        raise DamagedError(f"{name} is not what was sealed")


def parse(record: Struct, data: Buffer, refusal: str) -> Fields:
    """Return the fields of a record, unchecked; for bytes that are none a DamagedError."""
    try:
        return record.parse(data)
    except ConstructError:
        raise DamagedError(refusal) from None


def filled(cls: type[T], found: Fields, **others: object) -> T:
    """Return a named tuple of the fields that were parsed and, before them, `others`."""
    make: Callable[..., T] = cls
    names = [name for name in cls._fields if name not in others]
    return make(**{name: found[name] for name in names}, **others)
