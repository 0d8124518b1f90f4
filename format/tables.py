"""The tables of an image, read and understood."""

from format.facts import MachineFacts
from format.guard import GuardEntry, parse_guard
from format.page_types import PageTypes
from format.reader import ImageReader
from format.records import GUARD, MACHINE_FACTS, PAGE_TYPES, WORKING_SET
from format.working_set import WorkingSet


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


def working_set_of(image: ImageReader) -> WorkingSet | None:
    """Return what was in memory besides the image, None if it does not say.

    Raises what reading the image raises, DamagedError, UnsupportedError.
    """
    data = image.table(WORKING_SET)
    return None if data is None else WorkingSet.parse(data)


def page_types_of(image: ImageReader) -> PageTypes | None:
    """Return what the image consists of, None if it does not say.

    Raises what reading the image raises, DamagedError.
    """
    data = image.table(PAGE_TYPES)
    return None if data is None else PageTypes.parse(data)


def check_tables(image: ImageReader) -> None:
    """Read and understand all that there are. Raises what the functions above do."""
    for table_of in (guard_of, facts_of, working_set_of, page_types_of):
        table_of(image)
