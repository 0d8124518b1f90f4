"""The writing of the image, and the reading back of what was written."""

import time
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from errors import DamagedError, KernelRefusedError
from format import PAGE_SIZE, records
from format.mark import Mark
from format.pipeline import CHUNK_SIZE, PageBuffer
from format.reader import ImageReader, new_decoders
from format.tables import Guard, GuardEntry
from format.writer import ImageWriter, new_encoders
from hibernate.last_resort import LastResort
from hibernate.page_types import PageTypeCounter
from hibernate.plan import Plan
from hibernate.power_off import Mode
from hibernate.signals import stop_if_asked
from linux.installation import machine_id
from linux.memory import memory
from linux.snapshot import SnapshotDevice
from store.identity import these_facts, this_machine
from store.protocol import Store

if TYPE_CHECKING:
    from format.sealing import Sealing

_BAD_DEVICE = "keep nothing on this device before you have checked its health and the kernel log"


class Writing:
    """The image and all the big memory that it needs, got before the freeze."""

    def __init__(self, store: Store, plan: Plan) -> None:
        """Read what the image says of the machine, too. Raises UnreadableError."""
        self._store = store
        self._sink = store.sink()
        threads = self._sink.threads
        self._encoders = new_encoders(CHUNK_SIZE, plan.codec, self._sink.behind, threads)
        self._decoders = new_decoders(CHUNK_SIZE, threads) if plan.verify else []
        self._facts = these_facts().build()
        self.working_set = b""
        """A section of the image; b"" is none."""
        self._types = PageTypeCounter()
        self._sender = plan.sender
        self._superblock = records.Superblock(
            plan.image_uuid,
            time.time_ns(),
            CHUNK_SIZE,
            this_machine(machine_id()),
            plan.mode == Mode.PLATFORM,
        )

    def close(self) -> None:
        """Close what it has open for itself, written or not."""
        self._types.close()

    def write(
        self, snapshot: SnapshotDevice, guard: list[GuardEntry], last_resort: LastResort
    ) -> Mark:
        """Write the image and its map; return the mark that makes it visible."""
        log = last_resort.log
        begun, free = time.monotonic(), _free_memory()
        first = 0.0

        def go_on(done: int) -> None:
            nonlocal first
            first = first or time.monotonic() - begun
            _go_on(last_resort, done)

        with closing(self._sink):
            sealing = self._sealing()
            key = self._store.slot.key = sealing.key if sealing else None
            writer = ImageWriter(self._sink, self._superblock, self._encoders, sealing)
            raw = writer.write_stream(partial(self._read, snapshot), go_on, alone=True)
            writer.write_table(records.GUARD, Guard(guard).build())
            writer.write_table(records.MACHINE_FACTS, self._facts)
            if self.working_set:
                writer.write_table(records.WORKING_SET, self.working_set)
            if types := self._types.result():
                writer.write_table(records.PAGE_TYPES, types.build())
            elif self._types.trouble:
                log(f"the page types are not known: {self._types.trouble}")
            writer.finish()
            mark = self._sink.finish(self._superblock.image_uuid, writer.size, key)
            left = _free_memory()
        seconds = time.monotonic() - begun
        log(f"{raw >> 20} MiB stored as {writer.size >> 20} MiB in {seconds:.1f} s")
        log(f"a first chunk was on its way after {first:.2f} s")
        log(f"{free >> 10} KiB of memory were free before that, {left >> 10} KiB at its end")
        return mark

    def _sealing(self) -> "Sealing | None":
        """Return what seals the image, whose key is made now: the snapshot does not hold it."""
        return self._sender.sealing(self._superblock.image_uuid) if self._sender else None

    def _read(self, snapshot: SnapshotDevice, buffer: PageBuffer, at: int) -> int:
        try:
            got = snapshot.read(buffer.pages[at // PAGE_SIZE :])
        except OSError as error:
            raise KernelRefusedError(f"the snapshot cannot be read: {error}") from error
        self._types.see(buffer.view[at : at + got])
        return got

    def read_back(self, mark: Mark, last_resort: LastResort) -> None:
        """Check every byte of the image, from its map on, as the device gives it.

        Past the page cache. Raises DamagedError, UnreadableError, AbortedError.
        """
        begun = time.monotonic()
        try:
            image = ImageReader(self._store.slot.source(mark), self._decoders)
            _read_all(image, last_resort)
        except DamagedError as error:
            what = f"{self._store.name} does not give back what was written: {error}"
            raise DamagedError(what, _BAD_DEVICE) from error
        last_resort.log(
            f"{image.stored_bytes >> 20} MiB read back in {time.monotonic() - begun:.1f} s"
        )


def _free_memory() -> int:
    return memory()["MemFree"]


def _go_on(last_resort: LastResort, _done: int = 0) -> None:
    """Say after each chunk that there was progress; stop if asked to."""
    last_resort.progress()
    stop_if_asked()


def _read_all(image: ImageReader, last_resort: LastResort) -> None:
    with closing(image.stream()) as stream:
        for _ in stream:
            _go_on(last_resort)
    for section in image.index.sections[1:]:
        image.table(section.kind)
