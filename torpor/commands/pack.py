"""Make an image of a snapshot stream."""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from errors import Attempt, UnreadableError
from format import checksum, codec
from format.pipeline import CHUNK_SIZE, PageBuffer
from format.records import Superblock
from format.writer import ImageWriter, new_encoders
from linux.installation import machine_id
from linux.open_file import OpenFile
from store.identity import this_machine
from store.image import FileSink, new_file
from torpor.arguments import add_codec
from torpor.output import progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what it takes."""
    add_codec(parser, default=codec.DEFAULT)
    parser.add_argument(
        "--recipient",
        metavar="PUBLIC",
        action="append",
        default=[],
        help="seal the image for the holder of this key, age1...; may be given several times",
    )
    parser.add_argument("stream", metavar="STREAM", help="what /dev/snapshot gave; - for stdin")
    parser.add_argument("file", metavar="FILE", help="the image to write")


def run(arguments: argparse.Namespace) -> None:
    """Make an image of a snapshot stream."""
    checksum.self_test()
    here = this_machine(machine_id())
    superblock = Superblock(uuid4(), time.time_ns(), CHUNK_SIZE, here, platform=False)
    sealing = None
    if arguments.recipient:
        from seal.identity import for_recipients  # libsodium, for sealed images only

        sealing = for_recipients(arguments.recipient, superblock.image_uuid)
    with (
        _opened_stream(arguments.stream) as (fd, total),
        new_file(arguments.file) as out,
        progress("packing", total) as report,
    ):

        def read(buffer: PageBuffer, at: int) -> int:
            with Attempt("read", arguments.stream):
                return os.readv(fd, [buffer.view[at:]])

        sink = FileSink(out, arguments.file)
        encoders = new_encoders(CHUNK_SIZE, arguments.codec)
        writer = ImageWriter(sink, superblock, encoders, sealing)
        writer.write_stream(read, report)
        writer.finish()


@contextmanager
def _opened_stream(path: str) -> Iterator[tuple[int, int | None]]:
    """Open the stream to be packed; yield it with its size where that is known."""
    if path == "-":
        if sys.stdin.isatty():
            raise UnreadableError("a snapshot stream does not come from a terminal")
        yield sys.stdin.fileno(), None
        return
    with Attempt("open", path):
        file = OpenFile(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    with file:
        yield file.fd, os.fstat(file.fd).st_size or None
