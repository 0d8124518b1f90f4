"""The writer against a device that enforces the kernel's rules: what it leaves when it fails."""

import errno
import os
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from errors import (
    AbortedError,
    KernelRefusedError,
    NoImageError,
    NoSpaceError,
    StoreRefusedError,
    TorporError,
    UnreadableError,
)
from format.reader import ImageReader
from hibernate import sequence
from hibernate.plan import Plan
from hibernate.power_off import Mode
from hibernate.sequence import hibernate
from hibernate.watchdog import Watchdog
from linux import PAGE_SIZE, power, tasks
from linux.open_file import OpenFile
from store import device as store_device
from store.header import new_store_header
from store.image import open_image
from tests.unit.conftest import SwapFile
from tests.unit.fake_snapshot import FakeSnapshot, PoweredOff

PAGES = 700
STREAM = b"".join(bytes([n % 251]) * 2048 + os.urandom(2048) for n in range(PAGES))
SCATTERED = [*range(10, 400, 3), *range(401, 2000)]


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> FakeSnapshot:
    fake = FakeSnapshot(STREAM, swap_pages=SCATTERED)
    monkeypatch.setattr(sequence, "open_snapshot", fake.open)
    return fake


def plan(path: Path, mode: Mode = Mode.PLATFORM) -> Plan:
    return Plan(str(path), mode, None)


def stream_of(path: Path) -> bytes:
    with open_image(str(path)) as source:
        return b"".join(bytes(raw) for raw in ImageReader(source).stream())


def keep_when_off(monkeypatch: pytest.MonkeyPatch, path: Path) -> Path:
    """Keep what the disk held at power-off: the exception that stands for it undoes the mark."""
    kept = path.with_name("at-power-off")

    def off(*_: object) -> None:
        kept.write_bytes(path.read_bytes())
        raise PoweredOff

    monkeypatch.setattr(sequence, "power_off", off)
    return kept


def test_image_holds_the_stream_on_scattered_swap_pages(
    device: FakeSnapshot, swap_file: SwapFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = swap_file(2000)
    kept = keep_when_off(monkeypatch, path)
    with pytest.raises(PoweredOff):
        hibernate(plan(path), lambda _: None)
    assert stream_of(kept) == STREAM
    with open_image(str(kept)) as source:
        superblock = ImageReader(source).superblock
    assert superblock.identity.kernel_release == os.uname().release
    assert superblock.platform


def test_only_pages_that_the_kernel_gave_are_written(
    device: FakeSnapshot, swap_file: SwapFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = swap_file(2000)
    data = bytearray(path.read_bytes())
    for page in range(1, 2000):
        data[page * PAGE_SIZE : page * PAGE_SIZE + 8] = b"swapped!"
    path.write_bytes(data)
    kept = keep_when_off(monkeypatch, path)
    with pytest.raises(PoweredOff):
        hibernate(plan(path), lambda _: None)
    after = kept.read_bytes()
    for page in set(range(1, 2000)) - set(SCATTERED):
        assert after[page * PAGE_SIZE : page * PAGE_SIZE + 8] == b"swapped!"


def test_steps_come_in_the_order_that_the_kernel_wants(
    device: FakeSnapshot, swap_file: SwapFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = swap_file(2000)
    keep_when_off(monkeypatch, path)
    with pytest.raises(PoweredOff):
        hibernate(plan(path), lambda _: None)
    steps = [c for i, c in enumerate(device.calls) if i == 0 or device.calls[i - 1] != c]
    assert steps[:5] == [
        "set_swap_area",
        "freeze",
        "platform_support",
        "create_image",
        "get_image_size",
    ]
    assert "read" in steps
    assert "alloc_swap_page" in steps
    assert steps[-4:] == ["free_swap_pages", "free", "unfreeze", "close"]


def test_second_life_thaws_and_returns(device: FakeSnapshot, swap_file: SwapFile) -> None:
    path = swap_file(2000)
    before = path.read_bytes()
    device.second_life = True
    said: list[str] = []
    hibernate(plan(path), said.append)
    assert said[-3:-1] == ["taking the snapshot", "resumed"]
    assert said[-1].startswith("the machine was frozen for ")
    assert device.calls[-4:] == ["create_image", "free", "unfreeze", "close"]
    assert path.read_bytes() == before


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
    call: str,
    number: int,
    kind: type[TorporError],
    device: FakeSnapshot,
    swap_file: SwapFile,
) -> None:
    path = swap_file(2000)
    header = path.read_bytes()[:PAGE_SIZE]
    device.fail[call] = number
    with pytest.raises(kind):
        hibernate(plan(path), lambda _: None)
    assert path.read_bytes()[:PAGE_SIZE] == header
    assert device.free_swap == SCATTERED
    assert device.calls[-1] == "close"
    if "create_image" in device.calls and call != "create_image":
        assert device.calls[-4:-1] == ["free_swap_pages", "free", "unfreeze"]
    assert not device.frozen


@pytest.fixture
def store_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that stands for a device prepared by mkstore."""
    path = tmp_path / "store"
    path.write_bytes(bytes(1000 * PAGE_SIZE))
    fd = os.open(path, os.O_RDWR)
    new_store_header(fd, str(path), 1000)
    os.close(fd)
    monkeypatch.setattr(store_device, "claim", lambda name: OpenFile(os.open(name, os.O_RDWR)))
    monkeypatch.setattr(sequence, "open_store", store_device.DeviceStore)
    return path


def test_store_device_holds_the_stream(
    device: FakeSnapshot, store_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep_when_off(monkeypatch, store_file)
    with pytest.raises(PoweredOff):
        hibernate(plan(store_file), lambda _: None)
    assert stream_of(kept) == STREAM


@pytest.mark.parametrize(("call", "kind"), [("read", KernelRefusedError), ("", NoSpaceError)])
def test_failure_leaves_a_store_device_empty(
    call: str, kind: type[TorporError], device: FakeSnapshot, store_file: Path
) -> None:
    """The kernel refuses to free swap pages where no swap is set: nobody asks it to."""
    if call:
        device.fail[call] = errno.EIO
    else:
        os.truncate(store_file, 200 * PAGE_SIZE)
    header = store_file.read_bytes()[:PAGE_SIZE]
    with pytest.raises(kind):
        hibernate(plan(store_file), lambda _: None)
    assert store_file.read_bytes()[:PAGE_SIZE] == header
    assert device.calls[-3:] == ["free", "unfreeze", "close"]


def test_too_little_space_says_so_and_leaves_nothing(
    device: FakeSnapshot, swap_file: SwapFile
) -> None:
    path = swap_file(2000)
    header = path.read_bytes()[:PAGE_SIZE]
    device.free_swap = SCATTERED[:100]
    with pytest.raises(NoSpaceError, match="no room left") as caught:
        hibernate(plan(path), lambda _: None)
    assert "--image-size" in caught.value.hint
    assert path.read_bytes()[:PAGE_SIZE] == header
    with pytest.raises(NoImageError):
        stream_of(path)


def test_a_signal_while_writing_stops_it(
    device: FakeSnapshot, swap_file: SwapFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = swap_file(2000)
    header = path.read_bytes()[:PAGE_SIZE]
    read = device.read

    def read_then_signal(pages: Sequence[memoryview]) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return read(pages)

    monkeypatch.setattr(device, "read", read_then_signal)
    with pytest.raises(AbortedError, match="SIGTERM"):
        hibernate(plan(path), lambda _: None)
    assert path.read_bytes()[:PAGE_SIZE] == header
    assert signal.SIGTERM not in signal.sigpending()
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_image_size_is_asked_for_and_put_back(
    device: FakeSnapshot, swap_file: SwapFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = swap_file(2000)
    monkeypatch.setattr(power, "preferred_image_size", lambda: 12345)
    device.second_life = True
    hibernate(Plan(str(path), Mode.SHUTDOWN, 5 << 30), lambda _: None)
    asked = [call for call in device.calls if call.startswith("prefer")]
    assert asked == [f"prefer_image_size {5 << 30}", "prefer_image_size 12345"]


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (4086, b"SWAP-SPACE", "no swap header"),
        (1032, b"\x01\0\0\0", "bad pages"),
        (1300, b"x", "data where the mark goes"),
    ],
)
def test_swap_without_room_for_a_mark_is_refused_before_anything_happens(
    offset: int, value: bytes, message: str, device: FakeSnapshot, swap_file: SwapFile
) -> None:
    path = swap_file(50)
    data = bytearray(path.read_bytes())
    data[offset : offset + len(value)] = value
    path.write_bytes(data)
    with pytest.raises(StoreRefusedError, match=message):
        hibernate(plan(path), lambda _: None)
    assert device.calls == []
    assert path.read_bytes() == data


def test_no_worker_is_left_when_writing_fails(
    device: FakeSnapshot, swap_file: SwapFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel warns of threads that the freezer spared when it thaws (thaw_processes)."""
    path = swap_file(2000)
    device.free_swap = SCATTERED[:100]
    alive: list[int] = []
    really = device.do_unfreeze

    def unfreeze(argument: object) -> None:
        alive.append(threading.active_count())
        really(argument)

    monkeypatch.setattr(device, "do_unfreeze", unfreeze)
    before = threading.active_count()
    with pytest.raises(NoSpaceError):
        hibernate(plan(path), lambda _: None)
    assert alive == [before]


def test_memory_that_cannot_be_locked(
    device: FakeSnapshot, swap_file: SwapFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(tasks, "lock_memory", refuse)
    with pytest.raises(KernelRefusedError, match="memory cannot be locked"):
        hibernate(plan(swap_file(50)), lambda _: None)
    assert "freeze" not in device.calls


def test_watchdog_does_not_keep_the_device_open(
    device: FakeSnapshot, swap_file: SwapFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = swap_file(50)
    order: list[str] = []

    class Noted(Watchdog):
        def __init__(self, *rescue: Callable[[], None]) -> None:
            order.append("watchdog")
            super().__init__(*rescue)

    def noted_open(flags: int) -> FakeSnapshot:
        order.append("open")
        return device.open(flags)

    monkeypatch.setattr(sequence, "Watchdog", Noted)
    monkeypatch.setattr(sequence, "open_snapshot", noted_open)
    device.second_life = True
    hibernate(plan(path), lambda _: None)
    assert order == ["watchdog", "open"]
