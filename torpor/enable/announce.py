"""Names to the kernel where images are, without EFI: else logind refuses hibernation.

From systemd 254 on it does so wherever there is swap and nothing is named in /sys/power/resume
(src/shared/hibernate-util.c, hibernation_is_safe): "Not running on EFI and resume= is not set". The
kernel forgets the name at each boot, and looks for an image of its own where it is told to: so
only swap in use is named, which holds none, or a number that no device has.
"""

import os
import re
from contextlib import suppress

from errors import SetupError, TorporError
from format.first_page import SWAP
from linux import PAGE_SIZE, block, power
from linux.efivar import EFI
from linux.root import HOST, Root
from state.files import read_text, remove, write_text
from state.location import Location
from store.choose import Settings
from store.find import find_active_at
from store.header import read_header
from store.image import opened
from store.locate import find_device

PATH = "/run/torpor/announced"
"""What was named in this boot, and so may be taken back."""
NOWHERE = (os.makedev(0, 1), 0)
"""The kernel finds no device there, and logind no swap: that is its drop-in's business. Major 0
is that of file systems without a device (Documentation/admin-guide/devices.txt)."""


def announce(settings: Settings, root: Root = HOST) -> None:
    """Name the place where the next boot looks first, if it is swap in use, else NOWHERE.

    Whatever somebody else has named stays. Raises SetupError, UnreadableError.
    """
    if root.exists(EFI):
        return
    try:
        named = power.named_place()
        if named[0] and named != read_announced():
            return
        wanted = _wanted(settings, root)
        if named != wanted:
            # Kept first: what was named without a note would be somebody else's for ever.
            device, page = wanted
            write_text(PATH, f"{os.major(device)}:{os.minor(device)} {page}\n")
            power.name_place(*wanted)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SetupError(f"{power.RESUME} cannot be set: {reason}") from error


def retract() -> bool:
    """Take back what `announce` named; return False if the kernel keeps it until the next boot.

    Linux 6.1 does: then it stays known as ours, so that `announce` may name another place.
    Raises UnreadableError.
    """
    try:
        ours = read_announced()
        if ours is not None and ours == power.named_place():
            power.name_none()
    except OSError:
        return False
    remove(PATH)
    return True


def read_announced() -> tuple[int, int] | None:
    """Return device number and page, None where nothing was named. Raises UnreadableError."""
    found = re.fullmatch(r"(\d{1,9}):(\d{1,9}) (\d{1,15})\n", read_text(PATH) or "")
    return (os.makedev(int(found[1]), int(found[2])), int(found[3])) if found else None


def _wanted(settings: Settings, root: Root) -> tuple[int, int]:
    """Return what to name."""
    with suppress(TorporError, OSError):
        place = settings.named or settings.location or Location("")
        page = place.offset
        device = find_device(place.resume, root)
        if device and find_active_at(device, page, root) and _is_harmless(device, page, root):
            major, _, minor = (root.device_number(device) or "").partition(":")
            return os.makedev(int(major), int(minor)), page
    return NOWHERE


def _is_harmless(device: str, page: int, root: Root) -> bool:
    """Return whether the kernel, looking there, finds swap and changes nothing.

    Linux 6.12 cannot open what is in use (EBUSY). 6.1 can: it sets the size of the blocks to a
    page's, which would pull the cache away from under a file system with smaller ones, and reads
    the page (kernel/power/swap.c, swsusp_check).
    """
    with opened(device, os.O_RDONLY, root) as fd:
        found = read_header(fd, device, page).signature
        return found == SWAP and block.block_size(fd) == PAGE_SIZE
