"""The parts of an image on a server: objects of one size, the last one shorter."""

from uuid import UUID

from format.layout import SUPERBLOCK_SIZE
from format.pipeline import THREADS as THREADS_THERE

SIZE = 8 << 20
"""Bytes of a part. A smaller one is quicker put again; a server counts and bills each request."""

BEGIN = SUPERBLOCK_SIZE
"""Where in the image the first part begins: the superblock lies in the head."""

CONNECTIONS = 4
"""What a save or a load has at once."""

THREADS = min(THREADS_THERE, 2)
"""Those that work at the chunks: each takes 5 MiB, beside 40 for parts, and two pack more than a
line of 5 Gbit/s carries away."""


def key_of(image_uuid: UUID, number: int) -> str:
    """Return the key of a part."""
    return f"{image_uuid}/{number:05d}"


def count_of(image_size: int) -> int:
    """Return how many parts an image of so many bytes has."""
    return max(0, -(-(image_size - BEGIN) // SIZE))
