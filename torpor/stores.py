"""mkstore and discard."""

import argparse
import os

from errors import NoImageError
from store.device import make_store
from store.efi_location import clear_efi_location_of
from store.file_store import make_file_store
from store.image import open_header
from torpor.output import say
from torpor.stale import discard_stale


def mkstore(arguments: argparse.Namespace) -> None:
    """Prepare a device of its own, or with --size a new file, for images."""
    if arguments.size is not None:
        place = make_file_store(arguments.device, arguments.size)
        say(
            f"{arguments.device} is a store now, at page {place.page} of {place.device}; to use it:"
        )
        say(f"  torpor enable --store {arguments.device}")
        return
    store_uuid = make_store(arguments.device)
    say(f"{arguments.device} is a store now; to resume from it, boot with resume=UUID={store_uuid}")


def discard(arguments: argparse.Namespace) -> None:
    """Throw the image in a store away and put the store in order."""
    if arguments.stale is not None:
        discard_stale(arguments.stale)
        return
    with open_header(arguments.store, os.O_RDWR) as header:
        if not header.holds_image():
            raise NoImageError(f"no marked image on {arguments.store}: nothing changed")
        header.clear()
        clear_efi_location_of(header)
    what = "an empty store" if header.is_store else "swap as before; swapon uses it"
    say(f"the image is discarded: {arguments.store} is {what}")
