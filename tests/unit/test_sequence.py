"""The writer against a device that enforces the kernel's rules: what it writes and reads back, and
what it leaves when it fails.
"""

import errno
import os
import re
import signal
import threading
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import pytest

from errors import (
    AbortedError,
    DamagedError,
    KernelRefusedError,
    NoImageError,
    NoSpaceError,
    StoreRefusedError,
    TorporError,
    UnreadableError,
)
from format import records
from format.layout import CHUNK_HEADER_SIZE
from format.mark import Mark
from format.reader import ImageReader
from format.tables import Guard, GuardEntry, MachineFacts
from guard.take import Guarded
from hibernate import freeze, sequence
from hibernate import opened as opening
from hibernate.cgroups import Cgroups
from hibernate.filesystems import FileSystems
from hibernate.last_resort import LastResort
from hibernate.marking import Marking
from hibernate.power_off import Mode
from hibernate.reserve import Reserve
from hibernate.writing import Writing
from linux import PAGE_SIZE, power, tasks
from linux.open_file import OpenFile
from linux.snapshot import SnapshotDevice
from store import device as store_device
from store.header import new_store_header, read_header
from store.identity import these_facts
from store.image import open_image
from tests import forge
from tests.sources import opened, read_file
from tests.tools import failing
from tests.unit.hibernating import SCATTERED, STREAM, Hibernation, kill_writer
from tests.unit.marked import ROOT


def test_image_holds_the_stream_on_scattered_swap_pages(hibernation: Hibernation) -> None:
    kept = hibernation.run_to_power_off()
    assert read_file(kept) == STREAM
    with open_image(str(kept)) as source:
        superblock = ImageReader(source).superblock
    assert superblock.identity.kernel_release == os.uname().release
    assert superblock.platform


def test_image_holds_the_working_set(
    hibernation: Hibernation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recorded before anything is reclaimed, which begins once all else is ready."""
    steps: list[str] = []

    def finish() -> bytes:
        steps.append("recorded")
        assert hibernation.device.calls == ["set_swap_area"]
        return forge.working_set()

    monkeypatch.setattr(hibernation.working_set, "finish", finish)
    monkeypatch.setattr(sequence, "reclaim_early", lambda *_: steps.append("reclaimed"))
    with open_image(str(hibernation.run_to_power_off())) as source:
        assert ImageReader(source).table(records.WORKING_SET) == forge.working_set()
    assert steps == ["recorded", "reclaimed"]


def test_only_pages_that_the_kernel_gave_are_written(hibernation: Hibernation) -> None:
    data = bytearray(hibernation.path.read_bytes())
    for page in range(1, 2000):
        data[page * PAGE_SIZE : page * PAGE_SIZE + 8] = b"swapped!"
    hibernation.path.write_bytes(data)
    after = hibernation.run_to_power_off().read_bytes()
    for page in set(range(1, 2000)) - set(SCATTERED):
        assert after[page * PAGE_SIZE : page * PAGE_SIZE + 8] == b"swapped!"


def test_steps_come_in_the_order_that_the_kernel_wants(hibernation: Hibernation) -> None:
    hibernation.run_to_power_off()
    steps = [name for name, _ in groupby(hibernation.device.calls)]
    frozen = ["freeze", "platform_support", "create_image", "get_image_size"]
    assert steps[:5] == ["set_swap_area", *frozen]
    assert {"read", "alloc_swap_page"} <= {*steps[5:]}
    assert steps[-3:] == ["free", "unfreeze", "close"]


def test_second_life_thaws_and_returns(hibernation: Hibernation) -> None:
    before = hibernation.path.read_bytes()
    hibernation.device.second_life = True
    hibernation.run()
    assert hibernation.said[-3:-1] == ["taking the snapshot", "resumed"]
    assert hibernation.said[-1].startswith("the machine was frozen for ")
    assert hibernation.device.calls[-4:] == ["create_image", "free", "unfreeze", "close"]
    assert hibernation.device.free_swap == SCATTERED
    assert hibernation.path.read_bytes() == before


def test_second_life_waits_for_who_connects_the_store_again(
    hibernation: Hibernation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark is on a disk that is there once iscsid goes on; nobody else does before it."""
    device, steps = hibernation.device, list[str]()
    monkeypatch.setattr(freeze, "connecting_again", lambda *_: ["iscsid"])
    monkeypatch.setattr(Marking, "clear", lambda _: steps.append("clear"))
    monkeypatch.setattr(FileSystems, "thaw", lambda _: steps.append("file systems"))
    monkeypatch.setattr(Cgroups, "thaw", lambda _: steps.append("cgroups"))
    alive: list[int] = []

    def unfreeze() -> None:
        steps.append("tasks")
        alive.append(threading.active_count())

    device.before["unfreeze"] = unfreeze
    before = threading.active_count()
    device.second_life = True
    hibernation.run()
    assert steps == ["tasks", "clear", "file systems", "tasks", "cgroups"]
    assert alive == [before, before]
    assert "iscsid connects disks again" in hibernation.said
    assert device.calls[-6:] == ["create_image", *2 * ["free", "unfreeze"], "close"]


FAILURES = [
    ("freeze", errno.EBUSY, KernelRefusedError),
    ("set_swap_area", errno.ENODEV, KernelRefusedError),
    ("create_image", errno.ENOMEM, KernelRefusedError),
    ("read", errno.EIO, KernelRefusedError),
    ("alloc_swap_page", errno.ENOSPC, NoSpaceError),
    ("alloc_swap_page", errno.EIO, UnreadableError),
]


@pytest.mark.parametrize(("call", "number", "kind"), FAILURES)
def test_failure_leaves_the_machine_as_it_was(
    call: str, number: int, kind: type[TorporError], hibernation: Hibernation
) -> None:
    device = hibernation.device
    device.fail[call] = number
    with pytest.raises(kind):
        hibernation.run()
    assert hibernation.first_page() == hibernation.header
    assert device.free_swap == SCATTERED
    assert device.calls[-1] == "close"
    if "create_image" in device.calls and call != "create_image":
        assert device.calls[-3:-1] == ["free", "unfreeze"]
    assert not device.frozen


@pytest.fixture
def to_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hibernation:
    """One to a file that stands for a device prepared by mkstore."""
    path = tmp_path / "store"
    path.write_bytes(bytes(1000 * PAGE_SIZE))
    with opened(path) as fd:
        new_store_header(fd, str(path), 1000)
    monkeypatch.setattr(store_device, "claim", lambda name: OpenFile(os.open(name, os.O_RDWR)))
    monkeypatch.setattr(opening, "open_store", store_device.DeviceStore)
    return Hibernation(path, monkeypatch)


def test_store_device_holds_the_stream(to_device: Hibernation) -> None:
    assert read_file(to_device.run_to_power_off()) == STREAM


@pytest.mark.parametrize(("call", "kind"), [("read", KernelRefusedError), ("", NoSpaceError)])
def test_failure_leaves_a_store_device_empty(
    call: str, kind: type[TorporError], to_device: Hibernation
) -> None:
    if call:
        to_device.device.fail[call] = errno.EIO
    else:
        os.truncate(to_device.path, 200 * PAGE_SIZE)
    with pytest.raises(kind):
        to_device.run()
    assert to_device.first_page() == to_device.header
    assert to_device.device.calls[-3:] == ["free", "unfreeze", "close"]


def test_too_little_space_says_so_and_leaves_nothing(hibernation: Hibernation) -> None:
    hibernation.device.swap_pages = SCATTERED[:100]
    with pytest.raises(NoSpaceError, match="no room left") as caught:
        hibernation.run()
    assert "--image-size" in caught.value.hint
    assert hibernation.first_page() == hibernation.header
    with pytest.raises(NoImageError):
        read_file(hibernation.path)


def test_a_signal_while_writing_stops_it(hibernation: Hibernation) -> None:
    hibernation.device.before["read"] = lambda: os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(AbortedError, match="SIGTERM"):
        hibernation.run()
    assert hibernation.first_page() == hibernation.header
    assert signal.SIGTERM not in signal.sigpending()
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The kernel's image size, and what it reserves."""
    paths = [tmp_path / "image_size", tmp_path / "reserved_size"]
    for path, name, size in zip(paths, ("IMAGE_SIZE", "RESERVED_SIZE"), (12345, 1), strict=True):
        path.write_text(f"{size}\n")
        monkeypatch.setattr(power, name, str(path))
    return paths


def texts(paths: list[Path]) -> list[str]:
    return [path.read_text().strip() for path in paths]


@pytest.mark.parametrize("image_size", [5 << 30, 0, None])
def test_memory_is_asked_for_and_given_back(
    image_size: int | None, hibernation: Hibernation, settings: list[Path]
) -> None:
    """In both lives."""
    seen: list[list[str]] = []
    hibernation.device.before["create_image"] = lambda: seen.append(texts(settings))
    hibernation.plan = hibernation.plan._replace(mode=Mode.SHUTDOWN, image_size=image_size)
    hibernation.device.second_life = True
    hibernation.run()
    assert texts(settings) == ["12345", "1"]
    hibernation.device.second_life = False
    hibernation.run_to_power_off()
    assert texts(settings) == ["12345", "1"]
    asked = "12345" if image_size is None else f"{image_size}"
    assert seen == [[asked, f"{16 << 20}"]] * 2


def test_less_is_left_free_where_memory_does_not_suffice(
    hibernation: Hibernation, settings: list[Path]
) -> None:
    """Once; where that is not less, never."""
    tries: list[str] = []

    def refuse() -> None:
        tries.append(texts(settings)[1])
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    hibernation.device.before["create_image"] = refuse
    with pytest.raises(KernelRefusedError, match=r"takes no snapshot: .*Cannot allocate"):
        hibernation.run()
    assert tries == [f"{16 << 20}", "1"]
    assert texts(settings) == ["12345", "1"]
    settings[1].write_text(f"{1 << 30}\n")
    with pytest.raises(KernelRefusedError, match="takes no snapshot"):
        hibernation.run()
    assert tries[2:] == [f"{1 << 30}"]


def test_the_watchdog_gives_memory_back(settings: list[Path]) -> None:
    reserve = Reserve(0)

    def at_work() -> None:
        reserve.__enter__()

    kill_writer(reserve.put_back, at_work=at_work)
    assert texts(settings) == ["12345", "1"]


def test_settings_that_the_kernel_does_not_take(
    hibernation: Hibernation, settings: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A larger reserve than ours stays."""
    settings[1].write_text(f"{1 << 30}\n")
    with Reserve(None):
        assert texts(settings)[1] == f"{1 << 30}"
    monkeypatch.setattr(power, "set_size", failing(OSError(errno.EPERM, "no")))
    with pytest.raises(KernelRefusedError, match="reserved_size cannot be set"):
        hibernation.run()


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (4086, b"SWAP-SPACE", "no swap header"),
        (1032, b"\x01\0\0\0", "bad pages"),
        (1300, b"x", "data where the mark goes"),
    ],
)
def test_swap_without_room_for_a_mark_is_refused_before_anything_happens(
    offset: int, value: bytes, message: str, hibernation: Hibernation
) -> None:
    with opened(hibernation.path) as fd:
        os.pwrite(fd, value, offset)
    data = hibernation.path.read_bytes()
    with pytest.raises(StoreRefusedError, match=message):
        hibernation.run()
    assert hibernation.device.calls == []
    assert hibernation.path.read_bytes() == data


def test_no_worker_is_left_when_writing_fails(hibernation: Hibernation) -> None:
    """The kernel warns of threads that the freezer spared when it thaws (thaw_processes)."""
    hibernation.device.swap_pages = SCATTERED[:100]
    alive: list[int] = []
    hibernation.device.before["unfreeze"] = lambda: alive.append(threading.active_count())
    before = threading.active_count()
    with pytest.raises(NoSpaceError):
        hibernation.run()
    assert alive == [before]


def test_memory_that_cannot_be_locked(
    hibernation: Hibernation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "lock_memory", failing(OSError(errno.ENOMEM, "no memory")))
    with pytest.raises(KernelRefusedError, match="memory cannot be locked"):
        hibernation.run()
    assert "freeze" not in hibernation.device.calls


def test_image_is_read_back_before_it_is_marked(hibernation: Hibernation) -> None:
    hibernation.plan = hibernation.plan._replace(verify=True)
    hibernation.run_to_power_off()
    phases = [line for line in hibernation.said if "read back" in line or line == "marking"]
    assert re.fullmatch(r"\d MiB read back in \d+\.\d s", phases[0])
    assert phases[1] == "marking"


@pytest.mark.parametrize("nth", [0, 1, -1], ids=["stream", "guard", "facts"])
def test_what_the_device_gives_back_wrong_is_never_marked(
    nth: int, hibernation: Hibernation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bit of the last chunk of each section is wrong on the device once all is written."""
    path, device = hibernation.path, hibernation.device
    really = Writing.write

    def write(
        self: Writing, snapshot: SnapshotDevice, guard: list[GuardEntry], resort: LastResort
    ) -> Mark:
        mark = really(self, snapshot, guard, resort)
        with opened(path) as fd:
            source = read_header(fd, str(path)).source(mark)
            image = ImageReader(source)
            section = image.index.sections[nth]
            last = section.first_chunk + section.chunk_count - 1
            at = image.index.offsets[last] + CHUNK_HEADER_SIZE
            page, within = divmod(at, PAGE_SIZE)
            pages = [p for start, count in source.extents for p in range(start, start + count)]
            at = pages[page] * PAGE_SIZE + within
            os.pwrite(fd, bytes([os.pread(fd, 1, at)[0] ^ 1]), at)
        return mark

    monkeypatch.setattr(Writing, "write", write)
    plan = hibernation.plan
    hibernation.plan = plan._replace(verify=True)
    with pytest.raises(DamagedError, match="wrong checksum"):
        hibernation.run()
    assert hibernation.first_page() == hibernation.header
    assert device.calls[-3:-1] == ["free", "unfreeze"]
    device.at = 0
    hibernation.plan = plan
    hibernation.run_to_power_off()


def test_image_has_guard_and_facts(
    hibernation: Hibernation, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen: list[bool] = []

    def entries(_self: Guarded, _progress: Callable[[], None]) -> list[GuardEntry]:
        frozen.append(hibernation.device.frozen and not hibernation.device.ready)
        return [ROOT]

    monkeypatch.setattr(Guarded, "entries", entries)
    with open_image(str(hibernation.run_to_power_off())) as source:
        image = ImageReader(source)
        guard, facts = (image.table(kind) for kind in (records.GUARD, records.MACHINE_FACTS))
    assert frozen == [True]
    assert Guard.parse(guard or b"") == [ROOT]
    assert MachineFacts.parse(facts or b"") == these_facts()
