"""Images on files that stand for devices: of this machine, unless something else is asked for."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from format.mark import Extents, Mark
from format.records import GUARD, MACHINE_FACTS, WORKING_SET, Identity, Superblock
from format.tables import Guard, GuardEntry, MachineFacts, Method
from format.writer import ImageWriter, new_encoders
from seal.sender import Sender
from store.device import OwnStore
from store.header import read_header
from store.identity import these_facts, this_machine
from tests.forge import MACHINE_ID
from tests.sources import opened, reader_of

CHUNK_SIZE = 16384
INSTALLATION = MACHINE_ID
HERE = this_machine(INSTALLATION)
FACTS = these_facts()
ROOT = GuardEntry(Method.EXT, bytes(16), 1 << 30, bytes(32), "ext4", "/dev/vda", "", "/")


@dataclass(frozen=True, slots=True)
class Made:
    """What an image says of itself."""

    identity: Identity = HERE
    facts: MachineFacts | None = FACTS
    guard: list[GuardEntry] | None = field(default_factory=lambda: [ROOT])
    working_set: bytes = b""
    day: int = 1
    """Of 1970, when it was made."""
    sender: Sender | None = None
    """Who seals it."""


def put_image(
    path: Path,
    stream: bytes,
    runs: Sequence[tuple[int, int]],
    made: Made | None = None,
    page: int = 0,
) -> None:
    """Write an image into these runs of pages of the store or swap that begins at this page."""
    made = made or Made()
    fd = os.open(path, os.O_RDWR)
    room = Extents()
    for start, count in runs:
        room.add(start, count)
    with OwnStore(fd, str(path), read_header(fd, str(path), page), room) as store:
        superblock = Superblock(
            uuid4(), made.day * 86400 * 10**9, CHUNK_SIZE, made.identity, platform=True
        )
        sink = store.sink()
        sealing = made.sender.sealing(superblock.image_uuid) if made.sender else None
        key = store.slot.key = sealing.key if sealing else None
        writer = ImageWriter(sink, superblock, new_encoders(CHUNK_SIZE), sealing)
        writer.write_stream(reader_of(stream), lambda _done: None)
        if made.guard is not None:
            writer.write_table(GUARD, Guard(made.guard).build())
        if made.facts is not None:
            writer.write_table(MACHINE_FACTS, made.facts.build())
        if made.working_set:
            writer.write_table(WORKING_SET, made.working_set)
        writer.finish()
        mark = sink.finish(superblock.image_uuid, writer.size, key)
        store.slot.set_mark(mark)


def mark_of(path: str | Path, page: int = 0) -> Mark | None:
    """Return the mark that is on the device now."""
    with opened(path) as fd:
        return read_header(fd, str(path), page).mark()


def set_mark(path: str | Path, mark: Mark) -> None:
    """Put another mark there."""
    with opened(path) as fd:
        read_header(fd, str(path)).set_mark(mark)
