"""The first page of a swap area, a store or an image in a file: what it says by itself.

In swap and store it is a swap header of version 1 (include/linux/swap.h, union swap_header), and
the mark stands in bytes that the header leaves unused; docs/FORMAT.md, "First page". Each boot
without an image imports this, so it may import little: tests/unit/test_resume_light.py says what.
"""

from struct import Struct

from format import PAGE_SIZE

Data = bytes | bytearray | memoryview

SUPERBLOCK_MAGIC = b"\x89TORPOR\n"
STORE_MAGIC = b"TORPSTOR"
MARK_MAGIC = b"TORPMARK"

MARK_OFFSET = 1280
"""In the padding of a swap header, after the words that libblkid wants to be zero (1196-1203),
and in the sector of the UUID: the mark changes with one sector written."""

SIGNATURE_OFFSET = PAGE_SIZE - 10

SWAP = b"SWAPSPACE2"
"""The signature of swap (include/linux/swap.h)."""
KERNEL_IMAGE = b"S1SUSPEND\0"
"""That of an image of the kernel's own (kernel/power/swap.c)."""
USER_IMAGE = b"ULSUSPEND\0"
"""That of an image from user space: libblkid knows it and still gives UUID and LABEL."""

_FIELDS = Struct("<1024xIII16s16s")
"""Version, last page, number of bad pages, UUID, label."""
_MOST_PAGES = 1 << 32
"""That the header can count. A store may be larger: nobody uses it as swap."""


class FirstPage:
    """The bytes of a first page and what can be seen at a glance; no checksum is looked at."""

    __slots__ = ("data",)

    def __init__(self, data: Data) -> None:
        self.data = data

    @property
    def signature(self) -> bytes:
        """The last ten bytes."""
        return bytes(self.data[SIGNATURE_OFFSET:])

    @property
    def has_store_magic(self) -> bool:
        """Whether mkstore prepared this at some time; mkswap since leaves the magic there."""
        return self.data[: len(STORE_MAGIC)] == STORE_MAGIC

    @property
    def has_mark_magic(self) -> bool:
        """Whether there is a mark, whatever the signature says of it."""
        return self.data[MARK_OFFSET : MARK_OFFSET + len(MARK_MAGIC)] == MARK_MAGIC

    @property
    def is_store(self) -> bool:
        """Whether mkstore prepared this, and nothing made it swap since."""
        return self.has_store_magic and self.signature == USER_IMAGE

    @property
    def begins_image(self) -> bool:
        """Whether the bytes of an image begin here, as in a file that is one."""
        return self.data[: len(SUPERBLOCK_MAGIC)] == SUPERBLOCK_MAGIC

    def holds_image(self) -> bool:
        """Return whether Torpor put an image here, readable or not, that was not cleared."""
        return self.has_mark_magic and self.signature == USER_IMAGE

    @property
    def swap_version(self) -> int:
        """The version of the swap header."""
        return int(_FIELDS.unpack_from(self.data)[0])

    @property
    def bad_pages(self) -> int:
        """Length of the swap header's list of bad pages."""
        return int(_FIELDS.unpack_from(self.data)[2])

    @property
    def uuid(self) -> str:
        """The UUID of the swap area or store."""
        digits: str = _FIELDS.unpack_from(self.data)[3].hex()
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    @property
    def label(self) -> str:
        """The label of the swap area, "" if it has none."""
        label: bytes = _FIELDS.unpack_from(self.data)[4]
        return label.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")

    def describe(self, name: str) -> str:
        """Say what `name` is, whose first page has no mark."""
        if self.begins_image:
            return f"{name} holds an image's bytes, but no mark: copy them to a file"
        if self.is_store:
            return f"the store {name} is empty"
        if self.signature == SWAP:
            return f"{name} is swap without an image"
        if self.signature == KERNEL_IMAGE:
            return f"{name} holds an image of the kernel's own"
        if self.signature == USER_IMAGE:
            return f"{name} holds an image of another program"
        return f"{name} is neither an image, nor a store, nor swap"


def empty_store(pages: int, uuid: bytes) -> bytes:
    """Return the first page of an empty store of so many pages."""
    fields = _FIELDS.pack(1, min(pages, _MOST_PAGES) - 1, 0, uuid, b"")
    return (STORE_MAGIC + fields[len(STORE_MAGIC) :]).ljust(SIGNATURE_OFFSET, b"\0") + USER_IMAGE
