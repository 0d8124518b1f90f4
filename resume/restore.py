"""Gives the image to the kernel, chunk by checked chunk, and becomes it."""

import os
from collections.abc import Callable
from contextlib import closing

from errors import DamagedError, KernelRefusedError, RestoreRefusedError, UnreadableError
from format import PAGE_SIZE
from format.reader import ImageReader
from linux.snapshot import SnapshotDevice
from resume.report import Report
from resume.stall import Stall
from store.protocol import Slot
from store.snapshot import open_snapshot


def restore(image: ImageReader, slot: Slot, report: Report) -> None:
    """Load the image and become it; the mark in `slot` says at each moment how far it got.

    Returns only by raising: RestoreRefusedError if the image may be tried once more,
    KernelRefusedError, or what reading the image and writing the mark raise.
    """
    with open_snapshot(os.O_WRONLY) as snapshot:
        with Stall(report) as stall:
            slot.begin_loading()
            try:
                load(image, snapshot, stall.progress)
                snapshot.platform_support(enabled=image.superblock.platform)
            except OSError as error:
                raise KernelRefusedError(f"the kernel does not take the image: {error}") from error
            os.sync()
            slot.claim()
        try:
            _become(snapshot)
        except KernelRefusedError as refusal:
            raise _settled(slot, refusal) from refusal


def load(image: ImageReader, snapshot: SnapshotDevice, progress: Callable[[], None]) -> None:
    """Write the whole stream to the kernel; `progress` is told after each chunk.

    Raises OSError for what the kernel says of it.
    """
    done = 0
    with closing(image.chunks(alone=True)) as chunks:
        for chunk in chunks:
            done += _write(snapshot, chunk.pages, done)
            progress()
    snapshot.write([memoryview(bytes(PAGE_SIZE))])


def _write(snapshot: SnapshotDevice, pages: list[memoryview], before: int) -> int:
    rest = pages
    while rest:
        taken = snapshot.write(rest)
        if not taken:
            raise DamagedError(f"the kernel has a whole image after {before} bytes of the stream")
        rest = rest[taken // PAGE_SIZE :]
    return len(pages) * PAGE_SIZE


def _become(snapshot: SnapshotDevice) -> None:
    try:
        snapshot.freeze()
    except OSError as error:
        raise KernelRefusedError(f"the tasks of the initramfs cannot be frozen: {error}") from error
    try:
        snapshot.atomic_restore()
    except OSError as error:
        snapshot.unfreeze()
        raise KernelRefusedError(f"the kernel refuses the image: {error}") from error


def _settled(slot: Slot, refusal: KernelRefusedError) -> KernelRefusedError:
    """Put the mark back and return the error to raise: one that keeps the image, the first time."""
    try:
        again = slot.put_back()
    except UnreadableError as error:
        claimed = f"{error}: the image stays claimed, and no boot restores it"
        return KernelRefusedError(f"{refusal}; {claimed}")
    return RestoreRefusedError(str(refusal)) if again else refusal
