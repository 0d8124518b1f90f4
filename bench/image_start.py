"""What the resumer takes with an image: from its start until it has read the first chunk.

It rehearses the boot of a machine with three partitions, which the image holds: EFI's, the root,
and the swap that it lies in. All of the stream is one page, and the time ends when the resumer says
that the image is sound, so that a chunk of one page is in it. It does all that a boot does, but to
open /dev/snapshot and to write the mark; udev has nothing to do.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from uuid import uuid4

from bench.figure import Bar, Figure
from bench.measure import SPAWN, Job, command, in_turn, run_measured, seconds
from bench.start import BARE, RESUMER, STARTS, loop_device
from format import PAGE_SIZE
from format.mark import Extents
from format.pipeline import CHUNK_SIZE
from format.records import GUARD, MACHINE_FACTS, Superblock
from format.tables import Guard, GuardEntry, Method
from format.writer import ImageWriter, new_encoders
from guard.device import new_buffer, read_bytes
from guard.kinds import KINDS
from store.device import OwnStore
from store.header import read_header
from store.identity import these_facts, this_machine
from vm import memory_root
from vm.disks import MACHINE_ID, file_system_disk, swap_disk

_NAME = "resumer, an image: until its first chunk"
_SWAP, _SWAP_MIB = "sda3", 64
_PARTITIONS = {"sda1": Method.FAT, "sda2": Method.EXT, _SWAP: Method.SWAP}
_MAKERS = {Method.FAT: "vfat", Method.EXT: "ext4"}
_MEMMAP = Path("/sys/firmware/memmap")

TIME_BAR = Bar(120, 80)


def measure(folder: Path) -> tuple[list[Figure], dict[str, object]]:
    """Return the figures and the seconds of all runs; none without root and loop devices."""
    if os.geteuid() != 0:
        return [], {}
    with marked_root(folder) as words:
        around = f"AROUND={sys.executable} -I -S {SPAWN} --said"
        rehearsal: Job = lambda: run_measured(["env", around, *map(str, words)])  # noqa: E731
        bare = command(sys.executable, "-I", "-S", "-c", "pass")
        rounds = in_turn({BARE: bare, _NAME: rehearsal}, STARTS)
    runs = rounds[_NAME]
    ratios = [run.seconds / bare.seconds for run, bare in zip(runs, rounds[BARE], strict=True)]
    figures = [
        Figure(f"{_NAME}: wall", [1000 * run.seconds for run in runs], "ms", TIME_BAR),
        Figure(f"{_NAME} / bare Python", ratios),
        Figure(f"{_NAME}, whole run: CPU", [1000 * run.cpu_seconds for run in runs], "ms"),
        Figure(f"{_NAME}, whole run: peak", [run.rss_mib for run in runs], "MiB"),
    ]
    return figures, {name: seconds(runs) for name, runs in rounds.items()}


@contextmanager
def marked_root(folder: Path) -> Iterator[list[str | Path]]:
    """Yield the words that rehearse a resume in a root in memory, where a swap has an image."""
    disks = {name: folder / f"marked-{name}" for name in _PARTITIONS}
    uuid = swap_disk(disks[_SWAP], _SWAP_MIB)
    for name, method in _PARTITIONS.items():
        if name != _SWAP:
            file_system_disk(disks[name], _MAKERS[method])
    entries = Guard(_entry(disks[name], name, method) for name, method in _PARTITIONS.items())
    _put_image(disks[_SWAP], entries)
    tree = memory_root.initramfs_tree(RESUMER, "busybox")
    tree.file("/etc/machine-id", MACHINE_ID)
    for file in _MEMMAP.glob("*/*"):
        tree.file(str(file), file.read_bytes())
    with ExitStack() as loops:
        numbers = {name: loops.enter_context(loop_device(disk)) for name, disk in disks.items()}
        for name, number in numbers.items():
            tree.file(f"/sys/class/block/{name}/uevent", f"DEVNAME={name}\n".encode())
            link = f"/sys/dev/block/{os.major(number)}:{os.minor(number)}"
            tree.link(link, f"../../class/block/{name}")
        place = folder / "marked"
        memory_root.lay_out(tree, place, numbers)
        resumer = "/usr/lib/torpor/resume/torpor-resume"
        yield memory_root.command(place, f"resume=UUID={uuid}", resumer, "--dry-run")


def _entry(disk: Path, name: str, method: Method) -> GuardEntry:
    """Return what the guard has of a partition that lies on no other layer."""
    with disk.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        read = partial(read_bytes, file.fileno(), str(disk), new_buffer().view)
        identity = KINDS[method].identify(read) or b""
        fingerprint = KINDS[method].fingerprint(read, size)
    kind = _MAKERS.get(method, "swap")
    return GuardEntry(method, identity, size, fingerprint, kind, f"/dev/{name}", "", "/", "disk")


def _put_image(swap: Path, guard: Guard) -> None:
    """Write an image of this machine into a swap, of one page of zeros."""
    fd = os.open(swap, os.O_RDWR | os.O_CLOEXEC)
    room = Extents()
    room.add(1, (_SWAP_MIB << 20) // PAGE_SIZE - 1)
    with OwnStore(fd, str(swap), read_header(fd, str(swap)), room) as store:
        here = this_machine(MACHINE_ID.decode().strip())
        superblock = Superblock(uuid4(), time.time_ns(), CHUNK_SIZE, here, platform=False)
        sink = store.sink()
        writer = ImageWriter(sink, superblock, new_encoders(CHUNK_SIZE))
        stream = BytesIO(bytes(PAGE_SIZE))
        writer.write_stream(
            lambda buffer, at: stream.readinto(buffer.view[at:]), lambda _done: None
        )
        writer.write_table(GUARD, guard.build())
        writer.write_table(MACHINE_FACTS, these_facts().build())
        writer.finish()
        store.slot.set_mark(sink.finish(superblock.image_uuid, writer.size))
