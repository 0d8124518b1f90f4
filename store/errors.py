"""What can be wrong with a store."""

from typing import ClassVar

from format.errors import TorporError, UnreadableError


class DeviceNotFoundError(TorporError):
    """No device is there by that name."""

    exit_code: ClassVar[int] = 7
    meaning: ClassVar[str] = "the device is not there"


class StoreRefusedError(TorporError):
    """The device may not or cannot hold an image."""

    exit_code: ClassVar[int] = 8
    meaning: ClassVar[str] = "the device cannot be used as a store"


class NoSpaceError(TorporError):
    """The image does not fit."""

    exit_code: ClassVar[int] = 9
    meaning: ClassVar[str] = "there is not enough room for the image"


class KernelRefusedError(TorporError):
    """The kernel did not do what /dev/snapshot is for."""

    exit_code: ClassVar[int] = 13
    meaning: ClassVar[str] = "the kernel refused"


def cannot(verb: str, where: str, error: OSError) -> UnreadableError:
    """Return the error that says what the operating system did not do, and why."""
    return UnreadableError(f"cannot {verb} {where}: {(error.strerror or str(error)).lower()}")
