"""Finds the first pages that hold an image, as most boots do without finding one.

Each page is read once, read-only, so that udev takes no notice. What it takes to look into an
image is imported by whoever finds one.
"""

import mmap
import os

from errors import (
    Attempt,
    DeviceNotFoundError,
    IncompleteError,
    NoImageError,
    StoreRefusedError,
    TorporError,
)
from format import PAGE_SIZE
from format.first_page import KERNEL_IMAGE, FirstPage
from linux import block
from linux.open_file import OpenFile
from resume.request import Request
from resume.wait import Waiting
from s3.scheme import is_server
from store.locate import is_external, whole_devices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Found:
    """Where an image is, ours or one of the kernel's own."""

    def __init__(self, path: str, page: int, first: FirstPage, *, is_ours: bool) -> None:
        self.path = path
        self.page = page
        """Number of the first page, which holds `first`."""
        self.first = first
        self.is_ours = is_ours
        """Whether it is this installation's, whoever has made it; else that is to be seen."""
        self.is_kernels = first.signature == KERNEL_IMAGE


def find(request: Request, waiting: Waiting) -> list[Found]:
    """Return where an image is: one in a place that is named, else any number.

    What the kernel command line names comes first, or what torpor enable kept, then what the
    firmware names. Only where neither of the first two says anything are other devices looked at,
    those that are built in. Raises NoImageError, DeviceNotFoundError for what is named first,
    UnreadableError, IncompleteError.
    """
    why_not: TorporError = NoImageError("no image: no device carries a mark")
    path = None
    try:
        path = waiting.first()
    except DeviceNotFoundError as error:
        why_not = error
    for place in request.places:
        path = path if place is request.places[0] else waiting.find(place.resume)
        if path is None:
            continue
        is_ours = place is not request.firmware
        try:
            first = _first_page(path, place.offset, request, waiting)
            if _is_stray(path, first, request):
                raise StoreRefusedError(
                    f"{path} holds an image, but anybody may have plugged it in, and torpor enable "
                    "has not chosen it: refusing to restore it"
                )
        except TorporError:
            if is_ours:
                raise
            continue  # what the firmware names is no reason to look nowhere else
        found = Found(path, place.offset, first, is_ours=is_ours)
        if found.is_kernels or first.holds_image():
            return [found]
        if request.is_located and is_ours:
            why_not = NoImageError(f"no image: {first.describe(path)}")
    others = [] if request.is_located else list(_anywhere())
    if not others:
        raise why_not
    return others


def _first_page(path: str, number: int, request: Request, waiting: Waiting) -> FirstPage:
    if not is_server(path):
        return _read(path, number)
    from resume.server import await_head  # HTTP and TLS, for such a store only

    head = await_head(path, request.machine_id, waiting)
    head.close()
    return head


def _is_stray(path: str, first: FirstPage, request: Request) -> bool:
    """Return whether an image lies where anybody could have put it."""
    return (
        first.holds_image()
        and not request.is_external
        and not is_server(path)
        and is_external(path)
    )


def _anywhere() -> "Iterator[Found]":
    for path in whole_devices():
        try:
            first = _read(path, 0)
        except TorporError:
            continue  # no medium, or smaller than a page
        if first.holds_image() and not is_external(path):
            yield Found(path, 0, first, is_ours=False)


def _read(path: str, number: int) -> FirstPage:
    """Return that page of a device or file. Raises UnreadableError, IncompleteError."""
    page = mmap.mmap(-1, PAGE_SIZE)  # aligned, to read past the page cache
    with Attempt("read", path), OpenFile(block.open_direct(path, os.O_RDONLY)) as file:
        got = os.preadv(file.fd, [page], number * PAGE_SIZE)
    if got != PAGE_SIZE:
        raise IncompleteError(f"{path} ends at byte {number * PAGE_SIZE + got}")
    return FirstPage(page[:])
