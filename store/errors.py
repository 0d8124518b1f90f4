"""What can be wrong with a store."""

from format.errors import TorporError, UnreadableError


class DeviceNotFoundError(TorporError):
    """No device is there by that name."""

    exit_code = 7
    meaning = "the device is not there"


class StoreRefusedError(TorporError):
    """The device may not or cannot hold an image."""

    exit_code = 8
    meaning = "the device cannot be used as a store"


class NoSpaceError(TorporError):
    """The image does not fit."""

    exit_code = 9
    meaning = "there is not enough room for the image"


class KernelRefusedError(TorporError):
    """The kernel did not do what /dev/snapshot is for."""

    exit_code = 13
    meaning = "the kernel refused"


def cannot(verb: str, where: str, error: OSError) -> UnreadableError:
    """Return the error that says what the operating system did not do, and why."""
    return UnreadableError(f"cannot {verb} {where}: {(error.strerror or str(error)).lower()}")
