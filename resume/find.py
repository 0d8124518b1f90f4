"""Opens what may hold the image: the device that is named, else all that carry a mark."""

import os
import time
from contextlib import ExitStack

from errors import DeviceNotFoundError, ForbiddenError, KernelRefusedError, TorporError
from format.first_page import KERNEL_IMAGE
from linux import kmsg, power
from resume.candidates import Candidate, examine, marked_headers
from resume.check import Machine
from resume.report import to_kernel_log
from resume.request import Place, Request
from resume.wait import Waiting, not_there, wait_for_device
from store.efi_location import clear_efi_location
from store.header import StoreHeader, read_header
from store.image import opened
from store.locate import find_device


def find(request: Request, waiting: Waiting, files: ExitStack, flags: int) -> list[Candidate]:
    """Return the devices to choose from, opened with `flags` until `files` is closed.

    What the kernel command line names comes first, or what torpor enable kept, then what the
    firmware names; other devices are for whom nothing was named on the command line. With O_RDWR an
    image of the kernel's own is handed over to the kernel. Raises DeviceNotFoundError,
    KernelRefusedError, ForbiddenError, UnreadableError.
    """
    here = Machine.here(request.machine_id)
    missing: DeviceNotFoundError | None = None
    looked_at = []
    for place in request.places:
        try:
            path = _path_of(place, request, waiting)
            header = read_header(files.enter_context(opened(path, flags)), path, place.page)
        except DeviceNotFoundError as error:
            missing = missing or error
            continue
        except TorporError:
            if place.is_ours:
                raise
            continue  # no such page: that the firmware names it is no reason to look nowhere else
        if header.signature == KERNEL_IMAGE and flags == os.O_RDWR:
            _hand_over(request, header)
        looked_at.append(examine(header, here, named=place.is_ours))
        if header.holds_image():
            return looked_at[-1:]
    if request.by_command_line:
        found = looked_at[:1]
    else:
        found = [examine(header, here, named=False) for header in marked_headers(files, flags)]
    if missing and (request.by_command_line or not found):
        raise missing
    return found


def _path_of(place: Place, request: Request, waiting: Waiting) -> str:
    """Return the path of the device. Only the first one is waited for."""
    if place == request.places[0] and not request.waited:
        time.sleep(request.delay)
        return wait_for_device(place.device, waiting)
    path = find_device(place.device)
    if path is None:
        raise not_there(place.device, request.timeout)
    return path


def _hand_over(request: Request, header: StoreHeader) -> None:
    """Let the kernel resume from an image of its own: what it could do without us, it still can.

    Whoever looks for the image takes its name from the firmware, since the kernel that is restored
    does not (systemd's hibernate-resume.c). Raises KernelRefusedError if it did not resume.
    """
    if request.forbidden:
        raise ForbiddenError("noresume on the kernel command line")
    try:
        clear_efi_location()
    except TorporError as error:
        to_kernel_log(kmsg.INFO, str(error))
    try:
        power.name_place(os.fstat(header.fd).st_rdev, header.page)
    except OSError as error:
        raise KernelRefusedError(
            f"the kernel does not resume from its own image on {header.name}: {error}"
        ) from error
    raise KernelRefusedError(f"the kernel did not resume from its own image on {header.name}")
