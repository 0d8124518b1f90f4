"""The writing of the image."""

import time
from collections.abc import Callable

from format import records
from format.guard import GuardEntry, build_guard
from format.mark import Mark
from format.pipeline import CHUNK_SIZE, PageBuffer
from format.writer import ImageWriter, new_buffers
from hibernate.plan import Plan
from hibernate.power_off import Mode
from hibernate.signals import stop_if_asked
from kernel.machine import machine_id
from kernel.snapshot import PAGE_SIZE, SnapshotDevice
from store.base import Store, write_map
from store.blocks import BlockSink
from store.errors import KernelRefusedError
from store.identity import these_facts, this_machine

Log = Callable[[str], None]


class Writing:
    """The image and all the big memory that it needs, got before the freeze."""

    def __init__(self, store: Store, plan: Plan) -> None:
        """Read what the image says of the machine, too. Raises UnreadableError."""
        self._store = store
        self._sink = BlockSink(store.header.fd, store.name, store.allocate)
        self._buffers = new_buffers(CHUNK_SIZE)
        self._facts = these_facts().build()
        self._superblock = records.Superblock(
            plan.image_uuid,
            time.time_ns(),
            CHUNK_SIZE,
            this_machine(machine_id()),
            plan.mode == Mode.PLATFORM,
        )

    def write(self, snapshot: SnapshotDevice, guard: list[GuardEntry], log: Log) -> Mark:
        """Write the image and its map; return the mark that makes it visible."""
        begun = time.monotonic()
        writer = ImageWriter(self._sink, self._superblock, self._buffers)
        raw = writer.write_stream(lambda buffer, at: _read(snapshot, buffer, at), stop_if_asked)
        writer.write_table(records.GUARD, build_guard(guard))
        writer.write_table(records.MACHINE_FACTS, self._facts)
        writer.finish()
        self._sink.finish()
        mark = write_map(self._store, self._sink, self._superblock.image_uuid, writer.size)
        seconds = time.monotonic() - begun
        log(f"{raw >> 20} MiB stored as {writer.size >> 20} MiB in {seconds:.1f} s")
        return mark


def _read(snapshot: SnapshotDevice, buffer: PageBuffer, at: int) -> int:
    try:
        return snapshot.read(buffer.pages[at // PAGE_SIZE :])
    except OSError as error:
        raise KernelRefusedError(f"the snapshot cannot be read: {error}") from error
