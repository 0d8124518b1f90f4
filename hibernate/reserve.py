"""What is asked of the kernel about memory for one hibernation, and put back after it."""

from contextlib import suppress
from typing import Self

from errors import KernelRefusedError
from linux import power

RESERVED = 16 << 20
"""Bytes of which the kernel leaves twice as much free when it takes a snapshot
(kernel/power/snapshot.c, hibernate_preallocate_memory). Its own 1 MiB is meant for drivers;
docs/PERFORMANCE.md says what the writer needs."""


class Reserve:
    """The two settings in /sys/power, from here to the end of a `with` block.

    The watchdog puts them back, too, if the writer dies.
    """

    def __init__(self, image_size: int | None) -> None:
        """`image_size` are bytes that a snapshot should not exceed, None: as it is set."""
        self._before: dict[str, int] = {}
        for path in (power.RESERVED_SIZE, power.IMAGE_SIZE):
            with suppress(FileNotFoundError):
                self._before[path] = power.size_at(path)
        reserved = max(RESERVED, self._before.get(power.RESERVED_SIZE, 0))
        self._wanted = {power.RESERVED_SIZE: reserved}
        if image_size is not None:
            self._wanted[power.IMAGE_SIZE] = image_size

    def __enter__(self) -> Self:
        """Set them. Raises KernelRefusedError."""
        for path in self._before:
            try:
                power.set_size(path, self._wanted.get(path, self._before[path]))
            except OSError as error:
                self.put_back()
                raise KernelRefusedError(f"{path} cannot be set: {error}") from error
        return self

    def __exit__(self, *_: object) -> None:
        self.put_back()

    def lower(self) -> bool:
        """Have no more left free than without us; return whether that is less."""
        path = power.RESERVED_SIZE
        before = self._before.get(path, RESERVED)
        is_less, self._wanted[path] = before < self._wanted[path], before
        if is_less:
            with suppress(OSError):
                power.set_size(path, before)
        return is_less

    def put_back(self) -> None:
        """Set what was set before; also once more."""
        for path, size in self._before.items():
            with suppress(OSError):
                power.set_size(path, size)
