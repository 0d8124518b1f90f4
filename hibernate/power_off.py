"""The end of the first life."""

import time
from contextlib import suppress
from enum import StrEnum
from typing import NoReturn

from errors import KernelRefusedError
from linux import power
from linux.kmsg import Log
from linux.snapshot import SnapshotDevice

_FOR_EVER = 3600.0


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
            with suppress(OSError):
                snapshot.power_off()
        power.reboot(power.RB_POWER_OFF)
    except OSError as error:
        raise KernelRefusedError(f"the machine does not power off: {error}") from error
    raise KernelRefusedError("the machine does not power off")


def never_go_on(why: str, log: Log) -> NoReturn:
    """End a machine that may have a valid image on the disk: it goes on from there, or not at all.

    The next boot resumes, or starts cold. Where even that cannot be had, everything stays frozen.
    """
    with suppress(OSError):
        log(f"{why}; the machine must not go on, and restarts")
    for command in (power.RB_AUTOBOOT, power.RB_HALT_SYSTEM):
        with suppress(OSError):
            power.reboot(command)
    while True:
        time.sleep(_FOR_EVER)
