"""The mark of the image that is being written, and who clears it if the machine goes on.

The writer does when something fails, the watchdog when the writer is killed, the restored writer
because the image has done its service. A machine with a valid mark on disk never goes on running:
the image would be restored over what it does from then on.
"""

import mmap
from collections.abc import Callable
from uuid import UUID

from errors import DamagedError, UnsupportedError
from format.mark import Mark
from hibernate.power_off import never_go_on
from linux.kmsg import Log
from store.protocol import Store


class Marking:
    """The mark of one image on one store; shared with the watchdog, which is forked later."""

    def __init__(self, store: Store, image_uuid: UUID, log: Log) -> None:
        self._store = store
        self._image_uuid = image_uuid
        self._log = log
        self._is_begun = mmap.mmap(-1, 1)

    def is_begun(self) -> bool:
        """Return whether the mark may be on the disk."""
        return bool(self._is_begun[0])

    def begin(self) -> None:
        """Say that the mark is about to be set."""
        self._is_begun[0] = 1

    def set(self, mark: Mark) -> None:
        """Make the image visible, after `begin`. Raises UnreadableError: it is visible or not."""
        self._store.slot.set_mark(mark)

    def clear(self) -> None:
        """Clear what is there of the mark, on the device for good, whatever state it is in.

        After `begin` this returns only when no valid mark is there. Else UnreadableError: the
        device did not say whether there is one, or a resumer's was not cleared.
        """
        self._clear(self._store.slot.clear)

    def clear_alone(self) -> None:
        """As clear, for the watchdog, when the writer is gone and /dev/snapshot is closed."""
        self._clear(self._store.clear_alone)

    def _clear(self, clear: Callable[[], None]) -> None:
        try:
            if self._is_ours():
                clear()
                self._log("mark cleared")
        except BaseException as error:
            if self.is_begun():
                never_go_on(f"the mark cannot be cleared: {error}", self._log)
            raise
        self._is_begun[0] = 0

    def _is_ours(self) -> bool:
        try:
            mark = self._store.slot.written_mark()
        except (DamagedError, UnsupportedError):  # half of a mark: an older one was cleared before
            return self.is_begun()
        return mark is not None and mark.image_uuid == self._image_uuid
