"""The whole of a hibernation, from the preflight to the power-off, each step with its undo."""

import errno
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from format import checksum
from format.pipeline import CHUNK_SIZE, PageBuffer
from format.records import Superblock
from format.writer import ImageWriter, new_buffers
from hibernate.choose import check_room, open_store
from hibernate.errors import AbortedError
from hibernate.filesystems import FileSystems
from hibernate.guardian import Guardian
from hibernate.power_off import Mode, power_off
from kernel import power, process
from kernel.machine import machine_id
from kernel.snapshot import PAGE_SIZE, SnapshotDevice
from store.base import Store, write_map
from store.blocks import BlockSink
from store.errors import KernelRefusedError
from store.identity import this_machine
from store.snapshot import open_snapshot

_NO_MEMORY = "about half of the memory has to be free: close programs, or add swap"

_STOPPING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}

Log = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for."""

    store: str
    """Path of the store."""
    mode: Mode
    image_size: int | None
    """Bytes that the snapshot should not exceed; None leaves it to the kernel."""
    image_uuid: UUID = field(default_factory=uuid4)


def hibernate(plan: Plan, log: Log) -> None:
    """Hibernate; return in the second life, when the machine has been restored.

    Raises a TorporError after undoing everything: the machine then goes on as before, and
    nothing is marked. `log` is called while everything is frozen and must not touch a file
    system or a terminal.
    """
    checksum.self_test()
    with ExitStack() as undo:
        file_systems = FileSystems()
        undo.callback(file_systems.close)
        file_systems.open_all()
        # Before the rest: a guardian that held /dev/snapshot open, too, would never be woken.
        undo.enter_context(Guardian(file_systems))
        store = open_store(plan.store)
        undo.enter_context(store)
        snapshot = undo.enter_context(open_snapshot(os.O_RDONLY))
        check_room(store, _largest(plan))
        writing = _Writing(store, plan)
        _attach(store, snapshot)
        if store.header.holds_image():
            store.header.clear()
        undo.enter_context(_signals_held_back())
        _freeze(snapshot, file_systems, undo)
        if not _take_snapshot(snapshot, plan, undo):
            log("resumed")
            return
        log(f"snapshot of {snapshot.image_size() >> 20} MiB taken, writing it to {plan.store}")
        undo.callback(store.give_back)
        writing.write(snapshot, undo, log)
        log("image complete, powering off")
        power_off(snapshot, plan.mode)


def _largest(plan: Plan) -> int:
    return power.preferred_image_size() if plan.image_size is None else plan.image_size


def _attach(store: Store, snapshot: SnapshotDevice) -> None:
    try:
        store.attach(snapshot)
    except OSError as error:
        raise KernelRefusedError(f"the kernel refuses {store.name} as swap: {error}") from error
    try:
        process.lock_memory()
    except OSError as error:
        raise KernelRefusedError(f"memory cannot be locked: {error}", _NO_MEMORY) from error
    process.forbid_core_dump()  # onto a frozen file system, it would never end


def _freeze(snapshot: SnapshotDevice, file_systems: FileSystems, undo: ExitStack) -> None:
    try:
        snapshot.freeze()
    except OSError as error:
        raise KernelRefusedError(f"the tasks cannot be frozen: {error}") from error
    undo.callback(snapshot.unfreeze)
    undo.callback(file_systems.thaw)
    file_systems.freeze()


def _take_snapshot(snapshot: SnapshotDevice, plan: Plan, undo: ExitStack) -> bool:
    """Return True in the first life, False in the second.

    In both the image has to be freed before the kernel lets the tasks go (user.c, UNFREEZE).
    """
    try:
        if plan.image_size is not None:
            undo.callback(snapshot.prefer_image_size, power.preferred_image_size())
            snapshot.prefer_image_size(plan.image_size)
        snapshot.platform_support(enabled=plan.mode == Mode.PLATFORM)
        first_life = snapshot.create_image()
    except OSError as error:
        hint = _NO_MEMORY if error.errno == errno.ENOMEM else ""
        raise KernelRefusedError(f"the kernel takes no snapshot: {error}", hint) from error
    undo.callback(snapshot.free)
    return first_life


class _Writing:
    """The writing of the image, with all the memory that it needs, got before the freeze."""

    def __init__(self, store: Store, plan: Plan) -> None:
        self._store = store
        self._sink = BlockSink(store.header.fd, store.name, store.allocate)
        self._buffers = new_buffers(CHUNK_SIZE)
        self._superblock = Superblock(
            plan.image_uuid,
            time.time_ns(),
            CHUNK_SIZE,
            this_machine(machine_id()),
            plan.mode == Mode.PLATFORM,
        )

    def write(self, snapshot: SnapshotDevice, undo: ExitStack, log: Log) -> None:
        """Write, map and mark the image; `undo` gets what takes the mark away again."""
        begun = time.monotonic()
        writer = ImageWriter(self._sink, self._superblock, self._buffers)
        raw = writer.write_stream(lambda buffer, at: _read(snapshot, buffer, at), _stop_if_asked)
        writer.finish()
        self._sink.finish()
        mark = write_map(self._store, self._sink, self._superblock.image_uuid, writer.size)
        undo.callback(self._store.header.clear)
        self._store.header.set_mark(mark)
        seconds = time.monotonic() - begun
        log(f"{raw >> 20} MiB stored as {writer.size >> 20} MiB in {seconds:.1f} s")


def _read(snapshot: SnapshotDevice, buffer: PageBuffer, at: int) -> int:
    try:
        return snapshot.read(buffer.pages[at // PAGE_SIZE :])
    except OSError as error:
        raise KernelRefusedError(f"the snapshot cannot be read: {error}") from error


def _stop_if_asked(_done: int) -> None:
    if asked := signal.sigpending() & _STOPPING:
        raise AbortedError(f"stopped by {signal.Signals(min(asked)).name}")


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Let no signal end us between freeze and thaw; one that asked to stop has been heard."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        yield
    except AbortedError:
        while signal.sigpending() & _STOPPING:
            signal.sigwait(_STOPPING)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
