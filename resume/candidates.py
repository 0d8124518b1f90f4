"""Looks into the images that were found: which one to restore, and why not the others."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, NamedTuple

from errors import (
    DamagedError,
    ForbiddenError,
    KeptError,
    OtherInstallationError,
    SealedError,
    SpentError,
    TorporError,
    UnsupportedError,
)
from format.layout import IMAGE_VERSION
from format.mark import Mark
from format.reader import ImageReader
from format.records import GUARD
from format.tables import Guard, GuardEntry, Method
from guard.compare import is_held
from resume.check import Machine, check_machine
from resume.find import Found
from s3.scheme import is_server
from store.header import StoreHeader, read_header
from store.identity import owner_by, owner_of
from store.image import opened
from store.protocol import PageSlot, Slot

if TYPE_CHECKING:
    from resume.unsealing import Unsealing


class Candidate(NamedTuple):
    """An image on an open device."""

    slot: Slot
    image: ImageReader | None
    """None if it cannot be read."""
    refusal: TorporError | None
    """Why it is not to be restored."""
    is_ours: bool
    """Whether it belongs to this installation, which may throw it away."""
    is_named: bool
    """Whether it lies where this installation looks: it may be restored, whoever made it."""
    guard: list[GuardEntry]
    """What it holds mounted, and its swap; nothing where that was not looked at."""

    @property
    def created_ns(self) -> int:
        """When the image was made, 0 if that cannot be read."""
        return self.image.superblock.created_ns if self.image else 0

    def discard(self) -> bool:
        """Clear the mark if the image is ours; return whether there was one to clear."""
        there = self.is_ours and self.slot.holds_image()
        if there:
            self.slot.discard()
        return there

    def is_kept(self, error: TorporError) -> bool:
        """Return whether the image stays for another boot; `error` is why this one goes on."""
        if not self.slot.holds_image():
            return False
        if not self.is_ours:
            return self.is_named
        if isinstance(error, ForbiddenError) or not isinstance(self.refusal or error, KeptError):
            return False
        mark = self.slot.mark()
        return not (mark and mark.why_spent())

    def why_skipped(self, refusal: TorporError | None = None) -> str:
        """Return device and reason, for one that is not taken, `refusal` or its own."""
        made = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(self.created_ns // 10**9))
        return f"{self.slot.name} ({refusal or self.refusal or f'older, of {made} UTC'})"


def candidates_of(
    found: list[Found],
    here: Machine,
    files: ExitStack,
    flags: int,
    unsealing: "Unsealing | None" = None,
) -> list[Candidate]:
    """Return the images, the newest that can be restored first, open until `files` is closed.

    With `unsealing` none is looked into that this machine has not sealed. Raises UnreadableError
    for what was named; of others one that cannot be opened is left out.
    """
    examined = [
        _examine(slot, here, unsealing, is_named=one.is_ours)
        for one in found
        for slot in _opened(one, files, flags, here)
    ]
    return sorted(examined, key=lambda one: (one.refusal is None, one.created_ns), reverse=True)


def _opened(found: Found, files: ExitStack, flags: int, here: Machine) -> Iterator[PageSlot]:
    try:
        if is_server(found.path):
            from store.server.store import open_head  # HTTP and TLS, for such a store only

            yield files.enter_context(closing(open_head(found.path, here.identity.machine_id)))
            return
        fd = files.enter_context(opened(found.path, flags))
        yield read_header(fd, found.path, found.page)
    except TorporError:
        if found.is_ours:
            raise


def _examine(
    slot: PageSlot, here: Machine, unsealing: "Unsealing | None", *, is_named: bool
) -> Candidate:
    # A page that is remembered may be another file's by now, such as a copy's.
    is_named = is_named and slot.is_in_place()
    image, is_ours = None, False
    try:
        if unsealing:
            superblock, page = unsealing.superblock(slot)
            owner = owner_by(superblock.identity, here.identity.machine_id)
            is_ours = is_named and not owner
            unsealing.open(slot, superblock, page, here)
        else:
            owner = owner_of(slot, here.identity.machine_id)
            is_ours = is_named and not owner
        image = ImageReader(slot.image())
        if image.is_locked:
            raise SealedError("the image is sealed, and this boot does not know by whom")
        if owner and not is_named:
            raise OtherInstallationError(f"image is of {owner}")
        is_ours = not owner
        guard = check_image(image, slot.mark(), here)
        if isinstance(slot, StoreHeader) and slot.page and not is_held(slot.fd, slot.name, guard):
            # Whoever may write to a file there could have made it.
            raise DamagedError(
                "the image lies in a file, and does not hold its file system mounted: refusing to "
                "restore it"
            )
        if not is_named and all(entry.method is Method.SWAP for entry in guard):
            # A machine without a disk has no entries, and names the place. A forger need not leave
            # them out, he has a file system of his own: what keeps him out is where it lies (find).
            raise DamagedError(
                "the image holds nothing mounted, and nothing names it: refusing to restore it"
            )
    except TorporError as error:
        return Candidate(slot, image, error, is_ours, is_named, [])
    return Candidate(slot, image, None, is_ours, is_named, guard)


def check_image(image: ImageReader, mark: Mark | None, here: Machine) -> list[GuardEntry]:
    """Return what the guard has to compare; `mark` is None for an image in a file.

    Raises SpentError, DamagedError for an image without a guard, UnsupportedError for one of
    version 1, and as check_machine.
    """
    if image.superblock.version != IMAGE_VERSION:
        raise UnsupportedError("the image is of an older version of the format: not restored")
    if mark and (reason := mark.why_spent()):
        raise SpentError(f"the image is not restored any more: {reason}")
    guard = image.read(GUARD, Guard)
    if guard is None:
        raise DamagedError("the image does not say what it holds mounted: refusing to restore it")
    check_machine(image, here)
    return guard
