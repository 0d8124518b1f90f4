"""Whether a boot that has gone on has made an image worthless."""

from errors import ChangedError, DamagedError
from format.reader import ImageReader
from format.tables import Guard
from guard.compare import compare
from store.protocol import Slot


def why_stale(slot: Slot) -> str:
    """Return why no boot can restore the image in the slot, "" if one can.

    No device is waited for. Raises UnreadableError, UnsupportedError where it cannot be judged.
    """
    try:
        source, mark = slot.image(), slot.mark()
        if mark and (reason := mark.why_spent()):
            return reason
        guard = ImageReader(source).read(Guard)
        if guard is None:
            return "it does not say what it holds mounted"
        compare(guard, lambda: False)
    except (ChangedError, DamagedError) as error:
        return str(error)
    return ""
