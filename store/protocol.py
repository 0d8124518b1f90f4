"""What a store is to those who write, restore, verify and examine images, whatever its kind.

A kind of store is a module with a `Store` and a `Slot`: a line in store/find.py opens it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self
from uuid import UUID

from errors import (
    DamagedError,
    ForeignError,
    IncompleteError,
    LockedError,
    NoImageError,
    UnsupportedError,
)
from format.checksum import Buffer
from format.first_page import FirstPage
from format.mark import Mark, MarkState
from format.reader import Source
from format.sink import Sink
from linux.snapshot import SnapshotDevice

if TYPE_CHECKING:
    from format.sealing import ImageKey


class Slot(ABC):
    """The one image of a store: what its mark says, and how the mark goes on.

    complete → loading → claimed, each for good before what it announces begins. The restored kernel
    clears the mark; one that is claimed at a boot means that nobody knows how the restore ended.
    """

    name: str
    """For messages: a path."""
    page: int
    """Where it begins on a device, in pages; 0 where there is none."""
    key: "ImageKey | None"
    """Of a sealed image, once it is there: what the mark and the image are authenticated by."""
    retreat: "Retreat | None"
    """What takes back a claim."""
    spend: Callable[[], None]
    """Has a TPM count that the image is gone, so that no copy of it is restored."""

    @abstractmethod
    def holds_image(self) -> bool:
        """Return whether an image of ours is visible here, readable or not."""

    @abstractmethod
    def is_in_place(self) -> bool:
        """Return whether the mark says that it stands here, as far as it can be read."""

    @abstractmethod
    def mark(self) -> Mark | None:
        """Return the mark that makes an image visible, or None. Raises DamagedError etc."""

    @abstractmethod
    def written_mark(self) -> Mark | None:
        """Return what is there of a mark for good, whether it makes an image visible or not.

        Raises DamagedError for half of one, UnreadableError.
        """

    @abstractmethod
    def write_mark(self, mark: bytes) -> None:
        """Make the image visible, for good when this returns. Raises UnreadableError."""

    def set_mark(self, mark: Mark) -> None:
        """As write_mark, of this image."""
        self.write_mark(mark.build(self.key))

    @abstractmethod
    def clear(self) -> None:
        """Let no image be visible, for good when this returns. Raises UnreadableError."""

    @abstractmethod
    def source(self, mark: Mark) -> Source:
        """Return the image that this mark would make visible. Raises DamagedError etc."""

    @abstractmethod
    def superblock(self, mark: Mark) -> memoryview:
        """Return the superblock that the mark of a sealed image names, whoever has written both.

        Raises ForeignError where it names none, DamagedError, UnreadableError.
        """

    @abstractmethod
    def write_superblock(self, mark: Mark, data: bytes) -> None:
        """Write it, for good when this returns. Raises as `superblock`."""

    @abstractmethod
    def contents(self) -> str:
        """Say what is here instead of an image."""

    def image(self) -> Source:
        """Return the visible image. Raises NoImageError, and as `source`."""
        mark = self.mark()
        if mark is None:
            raise NoImageError(f"no image: {self.contents()}")
        return self.source(mark)

    def begin_loading(self) -> None:
        """Say that the image is about to be loaded. Raises UnreadableError."""
        mark = self._own_mark()
        self.set_mark(mark._replace(state=MarkState.LOADING, loads=mark.loads + 1))

    def claim(self) -> None:
        """Say that the kernel is about to become the image. Raises UnreadableError.

        The key of a sealed image is gone then, from the store and from memory. LockedError if the
        TPM does not count: nothing has changed.
        """
        mark = self._own_mark()
        self.spend()
        mark = mark._replace(state=MarkState.CLAIMED, attempts=mark.attempts + 1)
        again = mark._replace(state=MarkState.COMPLETE, loads=0)
        superblock = bytes(self.superblock(mark)) if self.key else b""
        self.retreat = Retreat(again, again.build(self.key), superblock)
        self.set_mark(mark)
        if self.key:
            self._wipe(mark, superblock)
            self.key.forget()
            self.key = None

    def put_back(self) -> bool:
        """Allow another attempt after the kernel refused; return whether there is one left.

        Raises UnreadableError: the image stays claimed then.
        """
        retreat = self.retreat
        if retreat is None or retreat.mark.why_spent():
            return False
        if retreat.superblock:
            self.write_superblock(retreat.mark, retreat.superblock)
        self.write_mark(retreat.built)
        return True

    def discard(self) -> None:
        """Let no image be visible, and nobody have the key of a sealed one. Raises UnreadableError.

        Not while the store is in use as swap: the page of the superblock may be somebody's.
        """
        with suppress(LockedError):
            self.spend()
        try:
            with suppress(DamagedError, UnsupportedError, ForeignError, NoImageError):
                mark = self.mark()
                if mark and mark.header_page:
                    self._wipe(mark, self.superblock(mark))
        finally:  # a page that cannot be read keeps no image visible
            self.clear()

    @abstractmethod
    def tidy(self) -> None:
        """Remove what is left beside the mark of an image that is gone. Raises UnreadableError."""

    def _wipe(self, mark: Mark, superblock: Buffer) -> None:
        """Overwrite what the key is wrapped in, if that is the superblock of this image.

        Also one that a power cut has half overwritten. Raises DamagedError for another.
        """
        from format.records import Superblock
        from format.sealing import without_recipients  # libsodium, for sealed images only

        bare = without_recipients(superblock, mark.image_uuid)
        Superblock.parse(bare)
        self.write_superblock(mark, bare)

    def _own_mark(self) -> Mark:
        mark = self.mark()
        if mark is None:
            raise DamagedError(f"the mark on {self.name} is gone")
        return mark


class PageSlot(FirstPage, Slot):
    """A slot whose mark stands in a first page."""


class MarkedSource:
    """What a format.reader.Source has of a mark, wherever the bytes lie."""

    def __init__(self, name: str, mark: Mark, key: "ImageKey | None") -> None:
        self._name = name
        self.mark = mark
        self.size = mark.image_size
        self.image_uuid = mark.image_uuid
        self.key = key

    def check_inside(self, offset: int, size: int) -> None:
        """Raise IncompleteError for bytes that the image does not have."""
        if offset < 0 or offset + size > self.size:
            raise IncompleteError(f"image on {self._name} ends before byte {offset + size}")


def nothing() -> None:
    """Do nothing: most images are counted nowhere."""


class Retreat(NamedTuple):
    """What takes back a claim without the key of the image: what was there before it."""

    mark: Mark
    built: bytes
    superblock: bytes
    """That of a sealed image, b"" of another."""


class StoreSink(Sink, Protocol):
    """Where an image's bytes go."""

    def finish(self, image_uuid: UUID, image_size: int, key: "ImageKey | None" = None) -> Mark:
        """Wait until all that was written is there for good; return the mark that makes it visible.

        `key` is that of a sealed image. Raises NoSpaceError, UnreadableError.
        """

    def close(self) -> None:
        """Let go of it, finished or not."""


class Store(Protocol):
    """Where an image can be written: `attach`, a `sink`, then the mark in its `slot`."""

    name: str

    @property
    def slot(self) -> Slot:
        """Where its mark is."""

    @property
    def room(self) -> int:
        """Bytes that an image may take."""

    def __enter__(self) -> Self:
        """Let go of it at the end of the `with` block."""

    def __exit__(self, *_: object) -> None:
        """See __enter__."""

    @property
    def is_on_server(self) -> bool:
        """Whether only a fresh process may talk to it in the second life.

        OpenSSL repeats its random numbers in both.
        """

    def clear_alone(self) -> None:
        """As `slot.clear`, in another process than the one that attached the snapshot device.

        When that is gone. Raises UnreadableError, KernelRefusedError, OSError.
        """

    def attach(self, snapshot: SnapshotDevice) -> None:
        """Say from which snapshot device the store gets what it needs. Raises OSError.

        What it got there it has until that is closed.
        """

    def begin_ahead(self, size: int) -> None:
        """Begin to get room for about so many bytes, once attached, beside what goes on here.

        The snapshot device is not to be used until `end_ahead`.
        """

    def end_ahead(self) -> None:
        """Wait for that; what is missing then, a sink gets as it needs it."""

    def sink(self) -> StoreSink:
        """Return where the image goes, with all of its big memory."""
