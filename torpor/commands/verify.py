"""Check every byte of an image."""

import argparse
from typing import NoReturn

from errors import SealedError, TorporError
from format.reader import ImageReader
from torpor.image import add_identity, facts, opened_image, read_all
from torpor.output import print_json, progress, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what it takes."""
    parser.add_argument("image", metavar="IMAGE", help="a file, store device or swap partition")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_identity(parser)


def run(arguments: argparse.Namespace) -> None:
    """Check the image. Raises the error that says what is wrong."""
    path = arguments.image
    try:
        with opened_image(path, arguments.identity) as image:
            if image.is_locked:
                _check_checksums(image)
            read_all(image, "verifying", lambda _raw: None)
            _check_tables(image)
    except TorporError as error:
        if arguments.json:
            said = {"message": str(error), "exit_code": error.exit_code}
            is_known = not isinstance(error, SealedError)
            print_json({"path": path, "sound": False if is_known else None} | said)
        raise
    if arguments.json:
        sound = {"path": path, "sound": True, "message": "", "exit_code": 0}
        print_json(sound | facts(image))
    else:
        say(
            f"{path}: sound: {_mib(image.stream_bytes)} in {_mib(image.stored_bytes)}, "
            f"{len(image.index.offsets)} chunks, every byte checked"
        )


def _check_checksums(image: ImageReader) -> NoReturn:
    """Check what can be checked of a sealed image without its key; raise SealedError."""
    done = 0
    with progress("verifying", image.stored_bytes) as report:
        for size in image.check_stored():
            done += size
            report(done)
    raise SealedError(
        f"the image is sealed: the checksums of its {len(image.index.offsets)} chunks are right; "
        "whether anybody changed it, only its key tells",
        "give the key: --identity FILE",
    )


def _check_tables(image: ImageReader) -> None:
    if len(image.index.sections) > 1:
        from format.tables import all_tables  # `torpor pack` writes none

        for kind, table in all_tables().items():
            image.read(kind, table)


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"
