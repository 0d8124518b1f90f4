"""Hands the working set of an image that is refused to the booted system.

The memory is lost, but what was cached need not be: torpor-workingset.service brings it back.
"""

from collections.abc import Sequence

from errors import TorporError
from format.records import WORKING_SET
from resume.candidates import Candidate, best_first
from state.working_set import save_working_set


def hand_over(candidates: Sequence[Candidate], refusal: TorporError) -> None:
    """Leave the working set of the newest image of ours in /run; `refusal` then says so.

    Its bytes are as they were written, by their checksums. What they mean is for the replay to
    check; that it cannot be read is no news beside the refusal.
    """
    for candidate in best_first([each for each in candidates if each.is_ours and each.image]):
        try:
            section = candidate.image.table(WORKING_SET) if candidate.image else None
            if section:
                save_working_set(section)
                refusal.add_note(f"the working set on {candidate.header.name} is handed on")
                return
        except (TorporError, OSError, MemoryError):
            continue
