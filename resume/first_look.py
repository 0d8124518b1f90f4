"""The first look: most boots have no image, and find that out here, without all that reads one.

It knows only what is plain: a page that is read and has no mark. Whatever else there is, such as a
mark, a device to wait for, an option that is seldom used or a file that cannot be understood, is
for the whole program, which looks again by itself and finds the same words for what both can tell.

Every import costs milliseconds (docs/PERFORMANCE.md): a test says what must not come in.
"""

import mmap
import os

from errors import TorporError
from format import PAGE_SIZE
from format.first_page import KERNEL_IMAGE, FirstPage
from linux import block, cmdline, efivar, root
from state import early
from store.locate import find_device, whole_devices

_MOST_DIGITS = 15
"""Of a page's number: beyond that the whole program decides."""


class _NotPlainError(Exception):
    """What is there takes a closer look."""


def why_no_image(text: str | None, *, rehearsed: bool) -> str | None:
    """Return why there is no image to restore, None if that takes a closer look.

    `text` is a kernel command line to use for the machine's own, `rehearsed` whether this is a dry
    run; as resume/__main__.py has them.
    """
    try:
        if not rehearsed and not root.is_in_memory():
            return None
        parameters = cmdline.parse(cmdline.read() if text is None else text)
        if "noresume" in parameters or "resumedelay" in parameters:
            return None
        if efivar.read(efivar.HIBERNATE_LOCATION) is not None:
            return None
        named = parameters.get("resume", "")
        if rehearsed and text is not None and os.path.isfile(named):
            return f"no image: {_no_image_in(named)}"
        if named:
            return f"no image: {_no_image_on(named, parameters)}"
        kept = early.location_words()
        if kept:
            _no_image_on(kept.get("resume", ""), kept)
        return _no_image_anywhere()
    except (_NotPlainError, TorporError, OSError):
        return None


def _no_image_on(spec: str, words: dict[str, str]) -> str:
    """Return what is on the named device instead of an image; `words` may have an offset."""
    offset = words.get("resume_offset", "0")
    path = find_device(spec)
    if path is None or not offset.isdecimal() or len(offset) > _MOST_DIGITS:
        raise _NotPlainError
    return _describe(_read_page(path, int(offset)), path)


def _no_image_in(path: str) -> str:
    """Return what is in the ordinary file instead of an image.

    One with nothing in its first page may be a store, written below its file system.
    """
    page = _read_page(path, 0)
    if page.begins_image or not any(page.data):
        raise _NotPlainError
    return _describe(page, path)


def _no_image_anywhere() -> str:
    for path in whole_devices():
        try:
            page = _read_page(path, 0)
        except (_NotPlainError, OSError):
            continue  # no medium, or smaller than a page
        if page.holds_image():
            raise _NotPlainError
    return "no image: no device carries a mark"


def _describe(page: FirstPage, path: str) -> str:
    if page.holds_image() or page.signature == KERNEL_IMAGE:
        raise _NotPlainError
    return page.describe(path)


def _read_page(path: str, page: int) -> FirstPage:
    data = mmap.mmap(-1, PAGE_SIZE)
    fd = block.open_direct(path, os.O_RDONLY)
    try:
        got = os.preadv(fd, [data], page * PAGE_SIZE)
    finally:
        os.close(fd)
    if got != PAGE_SIZE:
        raise _NotPlainError
    return FirstPage(data[:])
