"""What a store is to those who write, restore, verify and examine images, whatever its kind.

A kind of store is a module with a `Store` and a `Slot`: a line in store/find.py opens it.
"""

from abc import ABC, abstractmethod
from typing import Protocol, Self
from uuid import UUID

from errors import DamagedError, NoImageError
from format.mark import Mark, MarkState
from format.reader import Source
from format.sink import Sink
from linux.snapshot import SnapshotDevice


class Slot(ABC):
    """The one image of a store: what its mark says, and how the mark goes on.

    complete → loading → claimed, each for good before what it announces begins. The restored kernel
    clears the mark; one that is claimed at a boot means that nobody knows how the restore ended.
    """

    __slots__ = ()

    name: str
    """For messages: a path."""
    page: int
    """Where it begins on a device, in pages; 0 where there is none."""

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
    def set_mark(self, mark: Mark) -> None:
        """Make the image visible, for good when this returns. Raises UnreadableError."""

    @abstractmethod
    def clear(self) -> None:
        """Let no image be visible, for good when this returns. Raises UnreadableError."""

    @abstractmethod
    def source(self, mark: Mark) -> Source:
        """Return the image that this mark would make visible. Raises DamagedError etc."""

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
        """Say that the kernel is about to become the image. Raises UnreadableError."""
        mark = self._own_mark()
        self.set_mark(mark._replace(state=MarkState.CLAIMED, attempts=mark.attempts + 1))

    def put_back(self) -> bool:
        """Allow another attempt after the kernel refused; return whether there is one left.

        Raises UnreadableError: the image stays claimed then.
        """
        mark = self._own_mark()._replace(state=MarkState.COMPLETE, loads=0)
        if mark.why_spent():
            return False
        self.set_mark(mark)
        return True

    def _own_mark(self) -> Mark:
        mark = self.mark()
        if mark is None:
            raise DamagedError(f"the mark on {self.name} is gone")
        return mark


class StoreSink(Sink, Protocol):
    """Where an image's bytes go."""

    def finish(self, image_uuid: UUID, image_size: int) -> Mark:
        """Wait until all that was written is there for good; return the mark that makes it visible.

        Raises NoSpaceError, UnreadableError.
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
