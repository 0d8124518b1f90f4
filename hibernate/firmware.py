"""Names the store in the firmware while an image is to be there, as systemd does before it sleeps.

So an initramfs finds the image that knows an older place or none, as one that came ready-made, and
systemd's own resume agrees with us about the place. It declines our images.
"""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from errors import TorporError
from linux import efivar
from linux.kmsg import Log
from store.efi_location import (
    EfiLocation,
    clear_efi_location,
    is_efi_location_set,
    write_efi_location,
)
from store.locate import name_of
from store.place import place_of


@contextmanager
def named_in_firmware(store: str, log: Log, *, is_reached: bool) -> Iterator[None]:
    """Name the store at the path `store`, and no more when the block is left: resumed, or not.

    Only if `is_reached`, what the next boot opens anyway: systemd waits two minutes for it. What
    goes wrong is no reason not to hibernate: it is logged. Another system's name stays.
    """
    if not efivar.is_there():
        yield
        return
    _clear(log)
    try:
        if is_reached:
            _name(store, log)
        yield
    finally:
        _clear(log)


def _name(store: str, log: Log) -> None:
    try:
        place = place_of(store)
        tag, _, value = name_of(place.device).partition("=")
        if tag != "UUID" or is_efi_location_set():
            return
        location = EfiLocation(UUID(value), place.page, os.uname().release)
        write_efi_location(location, platform.freedesktop_os_release())
    except (TorporError, OSError, ValueError) as error:
        log(f"the firmware is not told of {store}: {error}")


def _clear(log: Log) -> None:
    try:
        clear_efi_location()
    except TorporError as error:
        log(str(error))
