"""What a hibernation opens first: where the image goes, and /dev/snapshot."""

import os
from contextlib import ExitStack
from typing import Self

from errors import KernelRefusedError
from hibernate.plan import Plan
from linux.memory import image_of, memory
from store.choose import check_room
from store.find import open_store
from store.snapshot import open_snapshot


class Opened:
    """The store and the snapshot device; a context manager that closes them.

    Room for half of the expected snapshot is got meanwhile: until `store.end_ahead` nobody else may
    use the device.
    """

    def __init__(self, plan: Plan) -> None:
        """Open both. Raises as open_store, KernelRefusedError, NoSpaceError; then none is open."""
        expected = image_of(memory(), plan.largest_image())
        with ExitStack() as on_error:
            self.store = on_error.enter_context(open_store(plan.store))
            self.snapshot = on_error.enter_context(open_snapshot(os.O_RDONLY))
            check_room(self.store.name, self.store.room, expected)
            try:
                self.store.attach(self.snapshot)
            except OSError as error:
                refused = f"the kernel refuses {self.store.name} as swap: {error}"
                raise KernelRefusedError(refused) from error
            self.store.begin_ahead(expected // 2)
            self._files = on_error.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close them; also once more. The kernel frees image and swap, and thaws what is frozen."""
        self._files.close()
