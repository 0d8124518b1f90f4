"""Version 1 of the image, the mark and the extent map, declared in construct.

docs/FORMAT.md is the specification; the names are the same. All integers are little-endian.
Every record ends in `checksum`: CRC-32C over the image's UUID, then the record's bytes before
the checksum, then, for a chunk, its payload. Reserved bytes are zero.
"""

from construct import (
    Array,
    Bytes,
    GreedyBytes,
    Int8ul,
    Int16ul,
    Int32ul,
    Int64ul,
    Prefixed,
    PrefixedArray,
    Struct,
    Terminated,
    this,
)

VERSION = 1

SECTION_MAGIC = b"TSEC"
CHUNK_MAGIC = b"TCHK"
INDEX_MAGIC = b"TIDX"
TRAILER_MAGIC = b"TORPDONE"
MAP_MAGIC = b"TORPXMAP"
WORKING_SET_MAGIC = b"TORPWSET"

CHECKSUM_SIZE = 4

OPTIONAL_PLATFORM = 1
"""Optional flag: the machine was powered off by its firmware (ACPI S4)."""

NAME_SIZE = 65
"""Size of a string of utsname, its end included (include/uapi/linux/utsname.h)."""

Superblock = Struct(
    "magic" / Bytes(8),
    "version" / Int32ul,
    "required_flags" / Int32ul,
    "optional_flags" / Int32ul,
    "page_size" / Int32ul,
    "chunk_size" / Int32ul,
    "reserved_word" / Bytes(4),
    "image_uuid" / Bytes(16),
    "created_ns" / Int64ul,
    "ram_map_digest" / Bytes(32),
    "kernel_release" / Bytes(NAME_SIZE),
    "kernel_version" / Bytes(NAME_SIZE),
    "machine" / Bytes(NAME_SIZE),
    "host_name" / Bytes(NAME_SIZE),
    "machine_id" / Bytes(16),
    "reserved" / Bytes(4096 - 368),
    "checksum" / Int32ul,
)

SectionHeader = Struct(
    "magic" / Bytes(4),
    "kind" / Int32ul,
    "flags" / Int32ul,
    "first_chunk" / Int32ul,
    "reserved" / Bytes(12),
    "checksum" / Int32ul,
)

ChunkHeader = Struct(
    "magic" / Bytes(4),
    "codec" / Int8ul,
    "flags" / Int8ul,
    "reserved" / Bytes(2),
    "number" / Int64ul,
    "raw_size" / Int32ul,
    "stored_size" / Int32ul,
    "tag" / Bytes(16),
    "reserved_word" / Bytes(4),
    "checksum" / Int32ul,
)

IndexHeader = Struct(
    "magic" / Bytes(4),
    "section_count" / Int32ul,
    "chunk_count" / Int32ul,
    "reserved" / Bytes(4),
)

IndexSection = Struct(
    "kind" / Int32ul,
    "flags" / Int32ul,
    "first_chunk" / Int32ul,
    "chunk_count" / Int32ul,
    "raw_bytes" / Int64ul,
)

Index = Struct(
    "header" / IndexHeader,
    "sections" / Array(this.header.section_count, IndexSection),
    "offsets" / Bytes(this.header.chunk_count * 8),
    "checksums" / Bytes(this.header.chunk_count * 4),
    "checksum" / Int32ul,
)
"""`offsets` and `checksums` are columns of u64 and u32: one value for each chunk's header."""

Trailer = Struct(
    "magic" / Bytes(8),
    "image_uuid" / Bytes(16),
    "image_size" / Int64ul,
    "index_offset" / Int64ul,
    "index_size" / Int32ul,
    "reserved" / Bytes(16),
    "checksum" / Int32ul,
)

Mark = Struct(
    "magic" / Bytes(8),
    "version" / Int16ul,
    "state" / Int16ul,
    "reserved_word" / Bytes(4),
    "image_uuid" / Bytes(16),
    "image_size" / Int64ul,
    "map_page" / Int64ul,
    "extent_count" / Int32ul,
    "page" / Int64ul,
    "loads" / Int16ul,
    "attempts" / Int16ul,
    "reserved" / Bytes(188),
    "checksum" / Int32ul,
)

GuardEntry = Struct(
    "method" / Int16ul,
    "flags" / Int16ul,
    "identity" / Bytes(16),
    "device_size" / Int64ul,
    "fingerprint" / Bytes(32),
    "file_system" / Prefixed(Int16ul, GreedyBytes),
    "device" / Prefixed(Int16ul, GreedyBytes),
    "device_identity" / Prefixed(Int16ul, GreedyBytes),
    "mount_point" / Prefixed(Int16ul, GreedyBytes),
)

Guard = Struct("entries" / PrefixedArray(Int32ul, GuardEntry), Terminated)

MachineFacts = Struct(
    "ram_map" / Prefixed(Int32ul, GreedyBytes),
    "processor" / Prefixed(Int32ul, GreedyBytes),
    "processor_features" / Prefixed(Int32ul, GreedyBytes),
    Terminated,
)

WITHOUT_PATHS = 1
"""Flag of a working set: a file's name is its handle."""
INCOMPLETE = 2
"""Flag of a working set: there was more, but no time or room for it."""

WorkingSetFileSystem = Struct(
    "file_count" / Int32ul,
    "device" / Prefixed(Int16ul, GreedyBytes),
    "root" / Prefixed(Int16ul, GreedyBytes),
    "mount_point" / Prefixed(Int16ul, GreedyBytes),
)

WorkingSet = Struct(
    "flags" / Int32ul,
    "boot_id" / Bytes(16),
    "file_systems" / PrefixedArray(Int32ul, WorkingSetFileSystem),
    "names" / Prefixed(Int32ul, GreedyBytes),
    "checks" / Prefixed(Int32ul, GreedyBytes),
    "ranges" / Prefixed(Int32ul, GreedyBytes),
    "processes" / Prefixed(Int32ul, GreedyBytes),
    Terminated,
)
"""`names`, `ranges` and `processes` are columns of LEB128; `checks` is one of u32."""

WorkingSetFile = Struct(
    "magic" / Bytes(8),
    "version" / Int32ul,
    "working_set" / Prefixed(Int32ul, GreedyBytes),
    "checksum" / Int32ul,
    Terminated,
)

PageTypes = Struct(
    "page_cache" / Int64ul,
    "anonymous" / Int64ul,
    "slab" / Int64ul,
    "kernel" / Int64ul,
    "other" / Int64ul,
    Terminated,
)

MAP_EXTENTS = 253
"""Extents in one page of the map."""

MapPage = Struct(
    "magic" / Bytes(8),
    "sequence" / Int32ul,
    "extent_count" / Int32ul,
    "next_page" / Int64ul,
    "starts" / Bytes(MAP_EXTENTS * 8),
    "counts" / Bytes(MAP_EXTENTS * 8),
    "reserved" / Bytes(20),
    "checksum" / Int32ul,
)
"""`starts` and `counts` are columns of u64: an extent's first page on the device, its pages."""

SUPERBLOCK_SIZE: int = Superblock.sizeof()
SECTION_HEADER_SIZE: int = SectionHeader.sizeof()
CHUNK_HEADER_SIZE: int = ChunkHeader.sizeof()
INDEX_SECTION_SIZE: int = IndexSection.sizeof()
INDEX_FIXED_SIZE: int = IndexHeader.sizeof() + CHECKSUM_SIZE
TRAILER_SIZE: int = Trailer.sizeof()
MARK_SIZE: int = Mark.sizeof()
