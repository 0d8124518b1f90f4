"""One save to a server, or one load from it, by the frozen programs themselves.

    torpor save URL STREAM RECIPIENT
    torpor-resume load URL IDENTITY

bench.server puts this file in the place of a program's main module. So modules, libraries and
memory are the program's, and a save has them locked. The stream comes from a file in place of
/dev/snapshot, and goes to /dev/null.

Prints what bench/spawn.py prints. The seconds are those of a frozen machine: from the first byte
read to the mark; those of a boot from the head on, to the last byte that the kernel would get.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from format.pipeline import prepare_process
from linux import tasks
from linux.open_file import OpenFile
from linux.snapshot import SnapshotDevice

if TYPE_CHECKING:
    from format.sealing import Sealing

LIMIT_SECONDS = 600
"""Without progress."""


def main() -> int:
    what, *words = sys.argv[1:]
    prepare_process()
    with WHAT[what](*words) as run:
        begun, processor_begun = time.monotonic(), time.process_time()
        run()
        took, processor = time.monotonic() - begun, time.process_time() - processor_begun
    print(took, processor, _peak_kib(), 0)
    return 0


@contextmanager
def saving(url: str, stream: str, recipient: str) -> Iterator[Callable[[], None]]:
    """Yield what writes the stream to the store at the URL, sealed for the recipient."""
    import torpor.commands.hibernate
    import torpor.hibernation  # noqa: F401 - what the program has imported by then, too
    from hibernate.last_resort import LastResort
    from hibernate.plan import Plan
    from hibernate.power_off import Mode
    from hibernate.writing import Writing
    from seal.identity import for_recipients
    from seal.sender import Sender
    from store.server.store import open_server_store

    class Anybody(Sender):
        """Who seals for one recipient."""

        def __init__(self) -> None:
            """There is nothing to be counted."""

        def sealing(self, image_uuid: UUID) -> "Sealing":
            """See Sender; nobody signs."""
            return for_recipients([recipient], image_uuid)

    plan = Plan(url, Mode.SHUTDOWN, uuid4(), sender=Anybody())
    with (
        open_server_store(url) as store,
        _Stream(stream, os.O_RDONLY) as device,
        closing(Writing(store, plan)) as writing,
    ):
        tasks.lock_memory()
        store.attach(device)
        last_resort = LastResort(LIMIT_SECONDS, lambda _line: None, lambda: False)
        yield lambda: store.slot.set_mark(writing.write(device, [], last_resort))


@contextmanager
def loading(url: str, identity: str) -> Iterator[Callable[[], None]]:
    """Yield what reads the image in the store at the URL, opened by the identity in a file."""
    import resume.images
    import resume.server
    import resume.unsealing  # noqa: F401 - what the program has imported by then, too
    from format.reader import ImageReader
    from linux.installation import machine_id
    from resume.restore import load
    from seal.identity import by_identity
    from store.server.store import open_head

    unlock = by_identity(identity)

    def run() -> None:
        with closing(open_head(url, machine_id())) as head:
            mark = head.mark()
            assert mark, "there is no image"
            head.key = unlock(head.superblock(mark))
            load(ImageReader(head.image()), device, lambda: None)

    with _Stream(os.devnull, os.O_WRONLY) as device:
        yield run


WHAT: dict[str, Callable[..., AbstractContextManager[Callable[[], None]]]] = {
    "save": saving,
    "load": loading,
}


class _Stream(SnapshotDevice):
    """A file that stands for the device."""

    def __init__(self, path: str, flags: int) -> None:
        OpenFile.__init__(self, os.open(path, flags | os.O_CLOEXEC))


def _peak_kib() -> int:
    """Return the most memory that was resident since the start, locked or not (proc(5), VmHWM)."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))
