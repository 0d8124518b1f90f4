"""Opens what may hold the image: the device that is named, else all that carry a mark."""

import os
import time
from contextlib import ExitStack

from kernel import hibernation, swap
from resume.candidates import Candidate, examine, marked_headers
from resume.check import Machine
from resume.errors import NotAskedError
from resume.request import Request
from resume.wait import Waiting, not_there, wait_for_device
from store.errors import DeviceNotFoundError, KernelRefusedError
from store.header import StoreHeader, read_header
from store.image import opened
from store.locate import find_device


def find(request: Request, waiting: Waiting, files: ExitStack, flags: int) -> list[Candidate]:
    """Return the devices to choose from, opened with `flags` until `files` is closed.

    What the kernel command line names is the only one; what torpor enable kept comes first. With
    O_RDWR an image of the kernel's own is handed over to the kernel. Raises DeviceNotFoundError,
    KernelRefusedError, NotAskedError, UnreadableError.
    """
    here = Machine.here(request.machine_id)
    missing: DeviceNotFoundError | None = None
    if request.device:
        try:
            header = _open_named(request, waiting, files, flags)
        except DeviceNotFoundError as error:
            if request.by_command_line:
                raise
            missing = error
        else:
            if header.signature == swap.KERNEL_IMAGE and flags == os.O_RDWR:
                _hand_over(request, header)
            if request.by_command_line or header.holds_image():
                return [examine(header, here, named=True)]
    found = [examine(header, here, named=False) for header in marked_headers(files, flags)]
    if missing and not found:
        raise missing
    return found


def _open_named(request: Request, waiting: Waiting, files: ExitStack, flags: int) -> StoreHeader:
    path = _named(request, waiting)
    return read_header(files.enter_context(opened(path, flags)), path, request.offset)


def _named(request: Request, waiting: Waiting) -> str:
    if not request.waited:
        time.sleep(request.delay)
        return wait_for_device(request.device, waiting)
    path = find_device(request.device)
    if path is None:
        raise not_there(request.device, request.timeout)
    return path


def _hand_over(request: Request, header: StoreHeader) -> None:
    """Let the kernel resume from an image of its own: what it could do without us, it still can.

    Raises KernelRefusedError if it did not.
    """
    if request.forbidden:
        raise NotAskedError("noresume on the kernel command line")
    try:
        hibernation.name_place(os.fstat(header.fd).st_rdev, header.at)
    except OSError as error:
        raise KernelRefusedError(
            f"the kernel does not resume from its own image on {header.name}: {error}"
        ) from error
    raise KernelRefusedError(f"the kernel did not resume from its own image on {header.name}")
