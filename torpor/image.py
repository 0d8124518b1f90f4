"""What verify, inspect and unpack share: an opened image, and its facts."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from errors import (
    DamagedError,
    ForeignError,
    LockedError,
    NoImageError,
    SealedError,
    UnsupportedError,
)
from format.reader import ImageReader
from store.image import open_image
from torpor.output import progress

OF_SEALED = (SealedError, LockedError, ForeignError)


def add_identity(parser: argparse.ArgumentParser) -> None:
    """Add --identity."""
    parser.add_argument(
        "--identity",
        metavar="FILE",
        help="the file with the private key of a sealed image, as torpor key generate makes it",
    )


@contextmanager
def opened_image(path: str, identity: str | None) -> Iterator[ImageReader]:
    """Open the image; an error that says what is wrong with it names it.

    With `identity`, a file with a private key, it has to be sealed for that.
    """
    unlock = None
    if identity is not None:
        from seal.identity import by_identity  # libsodium, for sealed images only

        unlock = by_identity(identity)
    try:
        with open_image(path, unlock) as source:
            yield ImageReader(source)
    except (NoImageError, DamagedError, UnsupportedError, *OF_SEALED) as error:
        if path in str(error):
            raise
        raise type(error)(f"{path}: {error}", error.hint) from error


def read_all(image: ImageReader, what: str, take: Callable[[memoryview], object]) -> None:
    """Read the stream and check it, with a progress bar; `take` gets each part of it."""
    done = 0
    with progress(what, image.stream_bytes) as report:
        for raw in image.stream():
            take(raw)
            done += len(raw)
            report(done)


def facts(image: ImageReader) -> dict[str, object]:
    """Return what the image says of itself, for a script."""
    from datetime import UTC, datetime  # not for a mere `verify`

    superblock = image.superblock
    return {
        "image_uuid": str(superblock.image_uuid),
        "created": datetime.fromtimestamp(superblock.created_ns // 10**9, UTC).isoformat(),
        "host_name": superblock.identity.host_name,
        "kernel_release": superblock.identity.kernel_release,
        "kernel_version": superblock.identity.kernel_version,
        "machine": superblock.identity.machine,
        "ram_map_digest": superblock.identity.ram_map_digest.hex(),
        "chunk_size": superblock.chunk_size,
        "chunks": len(image.index.offsets),
        "stream_bytes": image.stream_bytes,
        "stored_bytes": image.stored_bytes,
        "sealed": superblock.seal is not None,
    }
