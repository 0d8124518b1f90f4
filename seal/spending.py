"""Has the TPM count an image that the running machine throws away, so that no copy is restored."""

from contextlib import suppress
from functools import partial

from errors import TorporError
from format.records import Superblock
from seal.opening import Nobody, Opening, check_sender
from state.sealing import read_trust
from store.protocol import Slot


def spend_with(slot: Slot) -> None:
    """Have `slot.discard` count, if the TPM says that the image in the slot is the newest of ours.

    What the TPM does not say, or who sealed another image, is no reason to keep this one.
    """
    with suppress(TorporError):
        trust, mark = read_trust(), slot.mark()
        if trust is None or mark is None:
            return
        page = slot.superblock(mark)
        check_sender(page, trust)
        if seal := Superblock.parse(page).seal:
            opening = Opening(Nobody(), lambda _name: None, lambda _line: None)
            opening.check_counter(seal, mark.attempts)
            slot.spend = partial(opening.count, seal)
