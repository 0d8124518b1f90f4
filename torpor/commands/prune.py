"""Remove old images of all machines from a server.

Also what is left of images that were restored, or never came to their end. A machine whose image is
removed boots cold.
"""

import argparse
import re
import time

from errors import ConflictError
from store.server.machines import remove_image
from torpor.arguments import size
from torpor.output import say
from torpor.server import add_url, looked_at

_UNITS = {"m": 60, "h": 3600, "d": 86400}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what it takes."""
    add_url(parser)
    parser.add_argument(
        "--older-than",
        metavar="AGE",
        required=True,
        type=size(parse_age),
        help="since when nothing of the machine was written there: a number with d, h or m, as 30d",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be removed, and remove nothing"
    )


def run(arguments: argparse.Namespace) -> None:
    """Remove them. Raises ConfigurationError, ServerError."""
    oldest = time.time() - arguments.older_than
    removed = 0
    for machine, said, client in looked_at(arguments.url):
        if machine.modified > oldest or (said.state == "empty" and not machine.parts):
            continue
        removed += 1
        what = f"{machine.machine_id}: {said.state}, {machine.size >> 20} MiB"
        if arguments.dry_run:
            say(f"{what}: would be removed")
            continue
        try:
            remove_image(client)
        except ConflictError:
            say(f"{what}: in use again: kept")
        else:
            say(f"{what}: removed")
    if not removed:
        say("nothing is that old: nothing removed")


def parse_age(text: str) -> int:
    """Return the seconds in a number of days, hours or minutes. Raises ValueError."""
    found = re.fullmatch(r"([0-9]{1,6})([dhm])", text)
    if found is None:
        raise ValueError(f"'{text}' is not a number of days, hours or minutes, such as 30d")
    return int(found[1]) * _UNITS[found[2]]
