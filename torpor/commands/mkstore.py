"""Prepare a device of its own, which must be empty and unused, or a new file."""

import argparse

from errors import command
from state.conf import parse_size
from store.device import make_store
from store.file_store import make_file_store
from torpor.arguments import size
from torpor.discarding import discard
from torpor.output import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what it takes."""
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--size",
        type=size(parse_size),
        metavar="SIZE",
        help="make a new file of this size (K, M, G, T) instead",
    )
    kind.add_argument(
        "--force", action="store_true", help="also a device that holds something, which is lost"
    )
    parser.add_argument("device", metavar="DEVICE|FILE", help="a block device, or the new file")


def run(arguments: argparse.Namespace) -> None:
    """Make the store. Raises StoreRefusedError, UnreadableError and others."""
    path = arguments.device
    if arguments.size is None:
        store_uuid = make_store(path, discard, force=arguments.force)
        say(f"{path} is a store now; to resume from it, boot with resume=UUID={store_uuid}")
        return
    place = make_file_store(path, arguments.size)
    say(f"{path} is a store now, at page {place.page} of {place.device}; to use it:")
    say(f"  {command('torpor', 'enable', '--store', path)}")
