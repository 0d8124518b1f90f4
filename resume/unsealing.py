"""Opens the sealed images of a machine that seals, and looks into none but its own.

Until the sender of an image is known, nothing of it is looked at but the mark and the page of its
superblock, which the mark names.
"""

from collections.abc import Callable
from functools import partial

from errors import DamagedError, ForeignError, OtherHardwareError, SpentError
from format import sealed_layout
from format.checksum import Buffer
from format.first_page import FirstPage
from format.records import Superblock
from format.sealing import ImageKey, without_recipients
from linux import kmsg
from linux.tasks import forbid_core_dump
from resume.check import Machine, check_kernel
from resume.report import Report
from seal.ask import Asking
from seal.opening import Nobody, Opening, check_sender
from state.sealing import Trust, read_trust
from store.protocol import Slot


class Unsealing:
    """Who is trusted, and the ways to the keys of the images that he sealed."""

    def __init__(self, trust: Trust, opening: Opening) -> None:
        self._trust = trust
        self._opening = opening

    def superblock(self, slot: Slot) -> tuple[Superblock, memoryview]:
        """Return the superblock of the image in the slot, whoever has written it, and its page.

        Of one that is damaged, or half overwritten when the power was cut, what says whose it is.
        Raises ForeignError where the mark names none, DamagedError, UnsupportedError,
        UnreadableError.
        """
        mark = slot.mark()
        if mark is None:
            raise ForeignError(f"{slot.name} has no image of this installation")
        page = slot.superblock(mark)
        if not FirstPage(page).begins_image:
            raise ForeignError(f"the mark on {slot.name} names no superblock")
        if page[sealed_layout.IMAGE_UUID] != mark.image_uuid.bytes:
            raise DamagedError("the mark is of another image than the superblock that it names")
        try:
            return Superblock.parse(page), page
        except DamagedError:
            return Superblock.parse(without_recipients(page, mark.image_uuid)), page

    def open(self, slot: Slot, superblock: Superblock, page: Buffer, here: Machine) -> None:
        """Give the slot the key of its image, which authenticates the mark and all that follows.

        Nobody is asked for an image of another sender, kernel or memory. Raises SpentError,
        ForeignError, OtherKernelError, OtherHardwareError, LockedError, DamagedError.
        """
        mark, seal = slot.mark(), superblock.seal
        if mark and (reason := mark.why_spent()):
            raise SpentError(f"the image is not restored any more: {reason}")
        Superblock.parse(page)  # whole: what `superblock` returns may be of half a page
        check_sender(page, self._trust)
        check_kernel(superblock.identity, here.identity)
        if superblock.identity.ram_map_digest != here.identity.ram_map_digest:
            raise OtherHardwareError("the memory lies elsewhere than when the image was made")
        if mark and seal:
            self._opening.check_counter(seal, mark.attempts)
            slot.spend = partial(self._opening.count, seal)
        slot.key = self._opening.key(superblock)
        slot.mark()

    def key_of(self, page: Buffer) -> ImageKey:
        """Return the key of the image in a file, which has this superblock. Raises as above."""
        check_sender(page, self._trust)
        return self._opening.key(Superblock.parse(page))


def unsealing_here(
    find: Callable[[str], str | None], report: Report, *, asks: bool
) -> Unsealing | None:
    """Return what opens the images of this machine, None where sealing is off.

    `find` returns the path of a device by its name; only a boot that `asks` has questions. Raises
    ConfigurationError, UnreadableError.
    """
    trust = read_trust()
    if trust is None:
        return None
    forbid_core_dump()
    asking = Asking() if asks and trust.asks else Nobody()
    return Unsealing(trust, Opening(asking, find, partial(report, kmsg.ERR)))
