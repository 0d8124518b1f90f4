"""Say what an image holds, without reading all of it."""

import argparse

from errors import DamagedError, SealedError, UnsupportedError
from format import PAGE_SIZE
from format.reader import ImageReader
from format.records import PAGE_TYPES, WORKING_SET
from format.tables import PageTypes
from format.working_set import WorkingSet
from torpor.image import add_identity, facts, opened_image
from torpor.output import print_json, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what it takes."""
    parser.add_argument("image", metavar="IMAGE", help="a file, store device or swap partition")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_identity(parser)


def run(arguments: argparse.Namespace) -> None:
    """Say what the image is, from all but its stream, which is not read."""
    with opened_image(arguments.image, arguments.identity) as image:
        found = {"path": arguments.image} | facts(image)
        tables = {
            "page_types": _table(image, PAGE_TYPES, PageTypes),
            "working_set": _table(image, WORKING_SET, WorkingSet),
        }
    if arguments.json:
        print_json(found | {name: fields for name, (fields, _) in tables.items()})
        return
    lines = found | {name: words for name, (_, words) in tables.items() if words}
    width = max(map(len, lines))
    for name, value in lines.items():
        say(f"{name.replace('_', ' '):{width}}  {value}")


def _table(
    image: ImageReader, kind: int, table: type[WorkingSet | PageTypes]
) -> tuple[dict[str, object] | None, str]:
    """Return the fields of a table, and what to say of it; None where there is none to be read.

    One that is damaged is said to be, and hides nothing else.
    """
    try:
        found = image.read(kind, table)
    except SealedError:
        return None, ""
    except (DamagedError, UnsupportedError) as error:
        return {"error": str(error)}, str(error)
    if found is None:
        return None, ""
    if isinstance(found, PageTypes):
        return found._asdict(), _shares(found)
    return dict(found.counts()), str(found)


def _shares(types: PageTypes) -> str:
    """Return the page types with their sizes, the largest first."""
    by_size = sorted(types.by_name().items(), key=lambda item: -item[1])
    shares = ", ".join(
        f"{name.replace('_', ' ')} {count * PAGE_SIZE >> 20} MiB ({count / types.total:.0%})"
        for name, count in by_size
        if count
    )
    return f"about {shares}, by a sample of {types.sample * PAGE_SIZE >> 20} MiB"
