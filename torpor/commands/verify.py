"""Check every byte of an image."""

import argparse

from errors import TorporError
from format.reader import ImageReader
from torpor.image import facts, opened_image, read_all
from torpor.output import print_json, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what it takes."""
    parser.add_argument("image", metavar="IMAGE", help="a file, store device or swap partition")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> None:
    """Check the image. Raises the error that says what is wrong."""
    path = arguments.image
    try:
        with opened_image(path) as image:
            read_all(image, "verifying", lambda _raw: None)
            _check_tables(image)
    except TorporError as error:
        if arguments.json:
            said = {"message": str(error), "exit_code": error.exit_code}
            print_json({"path": path, "sound": False} | said)
        raise
    if arguments.json:
        sound = {"path": path, "sound": True, "message": "", "exit_code": 0}
        print_json(sound | facts(image))
    else:
        say(
            f"{path}: sound: {_mib(image.stream_bytes)} in {_mib(image.stored_bytes)}, "
            f"{len(image.index.offsets)} chunks, every byte checked"
        )


def _check_tables(image: ImageReader) -> None:
    if len(image.index.sections) > 1:
        from format.tables import all_tables  # `torpor pack` writes none

        for kind, table in all_tables().items():
            image.read(kind, table)


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"
