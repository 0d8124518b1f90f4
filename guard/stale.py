"""Whether a boot that has gone on has made an image worthless."""

from errors import ChangedError, DamagedError
from format.reader import ImageReader
from format.sections.guard import Guard
from guard.compare import compare
from store.header import StoreHeader
from store.image import marked_image


def why_stale(header: StoreHeader) -> str:
    """Return why no boot can restore the image that the header makes visible, "" if one can.

    No device is waited for. Raises UnreadableError, UnsupportedError where it cannot be judged.
    """
    try:
        source = marked_image(header)
        if reason := source.mark.why_spent():
            return reason
        guard = ImageReader(source).read(Guard)
        if guard is None:
            return "it does not say what it holds mounted"
        compare(guard, lambda: False)
    except (ChangedError, DamagedError) as error:
        return str(error)
    return ""
