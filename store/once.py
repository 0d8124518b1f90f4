"""That an image is restored once: what its mark allows, and how the mark's state goes on.

complete → loading → claimed, each on the device for good before what it announces begins. The
restored kernel clears the mark; a claimed one at a boot means that nobody knows how it ended.
docs/DESIGN.md has the table.
"""

from dataclasses import replace

from format.mark import Mark, MarkState
from store.header import StoreHeader

MAX_LOADS = 3
"""Boots that may end while they load the image: a kernel that dies of it would boot for ever."""

MAX_ATTEMPTS = 2
"""Times that the kernel is asked to become the image."""


def why_spent(mark: Mark) -> str:
    """Return why the image is never to be restored, "" if it may be."""
    if mark.state == MarkState.CLAIMED:
        return "the power went while it was being restored, or after it was"
    if mark.attempts >= MAX_ATTEMPTS:
        return f"the kernel refused it {mark.attempts} times"
    if mark.loads >= MAX_LOADS:
        return f"{mark.loads} boots ended while they loaded it"
    return ""


def begin_loading(header: StoreHeader) -> None:
    """Say that the image is about to be loaded. Raises UnreadableError."""
    mark = _mark_of(header)
    header.set_mark(replace(mark, state=MarkState.LOADING, loads=mark.loads + 1))


def claim(header: StoreHeader) -> None:
    """Say that the kernel is about to become the image. Raises UnreadableError."""
    mark = _mark_of(header)
    header.set_mark(replace(mark, state=MarkState.CLAIMED, attempts=mark.attempts + 1))


def put_back(header: StoreHeader) -> bool:
    """Allow another attempt after the kernel refused; return whether there is one left.

    Raises UnreadableError: the image stays claimed then.
    """
    mark = replace(_mark_of(header), state=MarkState.COMPLETE, loads=0)
    if why_spent(mark):
        return False
    header.set_mark(mark)
    return True


def _mark_of(header: StoreHeader) -> Mark:
    mark = header.mark()
    if mark is None:
        raise ValueError(f"{header.name} has no mark")
    return mark
