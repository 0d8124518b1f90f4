"""The end of the first life."""

from enum import StrEnum

from kernel import power
from kernel.snapshot import SnapshotDevice
from store.errors import KernelRefusedError


class Mode(StrEnum):
    """How to switch the machine off once the image is safe."""

    PLATFORM = "platform"
    SHUTDOWN = "shutdown"
    REBOOT = "reboot"


def default_mode() -> Mode:
    """Return platform where the firmware offers it, else shutdown."""
    return Mode.PLATFORM if power.has_platform_mode() else Mode.SHUTDOWN


def power_off(snapshot: SnapshotDevice, mode: Mode) -> None:
    """Switch the machine off. Returns only by KernelRefusedError: nothing worked.

    The image is marked by now, so a firmware that does not do S4 is no reason to go on.
    """
    try:
        if mode == Mode.REBOOT:
            power.reboot(power.RB_AUTOBOOT)
        if mode == Mode.PLATFORM:
            _firmware_off(snapshot)
        power.reboot(power.RB_POWER_OFF)
    except OSError as error:
        raise KernelRefusedError(f"the machine does not power off: {error}") from error
    raise KernelRefusedError("the machine does not power off")


def _firmware_off(snapshot: SnapshotDevice) -> None:
    try:
        snapshot.power_off()
    except OSError:
        return
