"""Give the snapshot stream of an image back."""

import argparse
import sys

from errors import UnreadableError
from format.reader import ImageReader
from store.image import FileSink, new_file
from torpor.image import add_identity, opened_image, read_all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what it takes."""
    add_identity(parser)
    parser.add_argument("file", metavar="FILE", help="a file, store device or swap partition")
    parser.add_argument("stream", metavar="STREAM", help="where to write it; - for stdout")


def run(arguments: argparse.Namespace) -> None:
    """Give the stream back, each chunk checked before it is written."""
    with opened_image(arguments.file, arguments.identity) as image:
        if arguments.stream == "-":
            _write_stream(image, _binary_stdout())
            return
        with new_file(arguments.stream) as out:
            _write_stream(image, FileSink(out, arguments.stream))


def _write_stream(image: ImageReader, sink: FileSink) -> None:
    read_all(image, "unpacking", sink.write)


def _binary_stdout() -> FileSink:
    if sys.stdout.isatty():
        raise UnreadableError(
            "a snapshot stream is not for a terminal", "name a file, or pipe it to a program"
        )
    return FileSink(sys.stdout.fileno(), "the standard output")
