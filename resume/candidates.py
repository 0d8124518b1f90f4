"""Finds the image to restore: on the device that is named, else wherever there is a mark."""

import time
from contextlib import ExitStack
from dataclasses import dataclass, field

from errors import (
    DamagedError,
    ForbiddenError,
    KeptError,
    OtherInstallationError,
    SpentError,
    TorporError,
)
from format.mark import Mark
from format.reader import ImageReader
from format.records import Identity
from format.sections.guard import Guard, GuardEntry
from resume.check import Machine, check_machine
from store.header import StoreHeader, read_header
from store.image import opened
from store.locate import whole_devices


@dataclass(frozen=True, slots=True)
class Candidate:
    """A device that carries a mark, or the one that is named."""

    header: StoreHeader
    image: ImageReader | None
    """None if it cannot be read."""
    refusal: TorporError | None
    """Why it is not to be restored."""
    is_ours: bool
    """Whether it belongs to this installation, which may throw it away."""
    guard: list[GuardEntry] = field(default_factory=list)
    """The file systems that it holds mounted."""

    @property
    def created_ns(self) -> int:
        """When the image was made, 0 if that cannot be read."""
        return self.image.superblock.created_ns if self.image else 0

    def discard(self) -> bool:
        """Clear the mark if the image is ours; return whether there was one to clear."""
        there = self.is_ours and self.header.holds_image()
        if there:
            self.header.clear()
        return there

    def is_kept(self, error: TorporError) -> bool:
        """Return whether the image stays for another boot; `error` is why this one goes on."""
        if isinstance(error, ForbiddenError) or not self.header.holds_image():
            return False
        return self.is_ours and isinstance(self.refusal or error, KeptError)


def examine(header: StoreHeader, here: Machine, *, named: bool) -> Candidate:
    """Look at the image that the header marks; what is on a device that is `named` is ours."""
    image, is_ours = None, named
    try:
        image = ImageReader(header.image())
        if not named:
            _check_installation(image.superblock.identity, here.identity)
        is_ours = True
        guard = check_image(image, header.mark(), here)
    except TorporError as error:
        return Candidate(header, image, error, is_ours)
    return Candidate(header, image, None, is_ours, guard)


def check_image(image: ImageReader, mark: Mark | None, here: Machine) -> list[GuardEntry]:
    """Return what the guard has to compare; `mark` is None for an image in a file.

    Raises SpentError, DamagedError for an image without a guard, and as check_machine.
    """
    if mark and (reason := mark.why_spent()):
        raise SpentError(f"the image is not restored any more: {reason}")
    guard = image.read(Guard)
    if guard is None:
        raise DamagedError("image does not say what it holds mounted: it is none to be restored")
    check_machine(image, here)
    return guard


def _check_installation(image: Identity, here: Identity) -> None:
    """Raise OtherInstallationError for the image of another system or machine."""
    both_known = image.machine_id and here.machine_id
    if both_known and image.machine_id != here.machine_id:
        raise OtherInstallationError(f"image is of another installation, {image.host_name}")
    if not both_known and image.ram_map_digest != here.ram_map_digest:
        raise OtherInstallationError(f"image is of another machine, {image.host_name}")


def marked_headers(undo: ExitStack, flags: int) -> list[StoreHeader]:
    """Open all devices that carry a mark; `undo` closes them."""
    found = []
    for path in whole_devices():
        with ExitStack() as attempt:
            try:
                fd = attempt.enter_context(opened(path, flags))
                header = read_header(fd, path)
            except TorporError:
                continue  # no medium, smaller than a page, not ready: nothing that was marked
            if header.holds_image():
                found.append(header)
                undo.enter_context(attempt.pop_all())
    return found


def best_first(candidates: list[Candidate]) -> list[Candidate]:
    """Return them with the newest image that can be restored in front."""
    return sorted(
        candidates, key=lambda found: (found.refusal is None, found.created_ns), reverse=True
    )


def skipped(others: list[Candidate]) -> str:
    """Return a phrase that names the candidates that were not taken, and why."""
    words = []
    for other in others:
        made = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(other.created_ns // 10**9))
        words.append(f"{other.header.name} ({other.refusal or f'older, of {made} UTC'})")
    return f"skipped: {', '.join(words)}"
