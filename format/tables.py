"""The tables of an image, read and understood."""

from format.facts import MachineFacts
from format.guard import GuardEntry, parse_guard
from format.reader import ImageReader
from format.records import GUARD, MACHINE_FACTS


def guard_of(image: ImageReader) -> list[GuardEntry] | None:
    """Return the file systems that the image holds mounted, None if it does not say.

    Raises what reading the image raises, DamagedError, UnsupportedError.
    """
    data = image.table(GUARD)
    return None if data is None else parse_guard(data)


def facts_of(image: ImageReader) -> MachineFacts | None:
    """Return what the image needs of the machine, None if it does not say.

    Raises what reading the image raises, DamagedError.
    """
    data = image.table(MACHINE_FACTS)
    return None if data is None else MachineFacts.parse(data)
