"""Arguments that several commands take."""

import argparse
from collections.abc import Callable

from format import codec


def add_codec(parser: argparse.ArgumentParser, default: str | None) -> None:
    """Add --codec."""
    parser.add_argument(
        "--codec",
        choices=codec.NAMES,
        default=default,
        help="how to compress; zstd is for a disk that writes less than 250 MB/s; default: lz4",
    )


def size(parse: Callable[[str], int]) -> Callable[[str], int]:
    """Return `parse` for argparse: a wrong size is a usage error, in the words of `parse`."""

    def parsed(text: str) -> int:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed
