"""No machine goes on with a valid mark on disk: the writer, or else the watchdog, clears it."""

import errno
import hashlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from errors import KernelRefusedError, UnreadableError, cannot
from format.mark import Extents, Mark, MarkState
from format.reader import ImageReader
from hibernate import marking, sequence
from hibernate.marking import Marking
from hibernate.plan import Plan
from hibernate.power_off import Mode, never_go_on
from hibernate.sequence import hibernate
from hibernate.watchdog import Watchdog
from linux import PAGE_SIZE, power
from linux.snapshot import SnapshotDevice
from store import header as store_header
from store.blocks import write_pages
from store.device import OwnStore
from store.header import StoreHeader, read_header
from store.image import open_image
from tests.unit.conftest import SwapFile
from tests.unit.fake_snapshot import FakeSnapshot, PoweredOff

OURS = UUID("aaaaaaaa-0000-0000-0000-000000000001")
STREAM = b"".join(bytes([n % 251]) * 2048 + os.urandom(2048) for n in range(300))


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> FakeSnapshot:
    fake = FakeSnapshot(STREAM, swap_pages=range(10, 1000))
    monkeypatch.setattr(sequence, "open_snapshot", fake.open)
    return fake


def plan(path: Path) -> Plan:
    return Plan(str(path), Mode.PLATFORM, image_uuid=OURS)


def mark_of(image_uuid: UUID = OURS, state: MarkState = MarkState.COMPLETE) -> Mark:
    return Mark(state, image_uuid, PAGE_SIZE, 20, 1, 0)


def put_mark(path: Path, mark: Mark) -> None:
    fd = os.open(path, os.O_RDWR)
    read_header(fd, str(path)).set_mark(mark)
    os.close(fd)


def first_page(path: Path) -> bytes:
    return path.read_bytes()[:PAGE_SIZE]


class OneFile(OwnStore):
    """A store that notes by which snapshot device it may be written."""

    def __init__(self, path: Path) -> None:
        fd = os.open(path, os.O_RDWR)
        super().__init__(fd, str(path), read_header(fd, str(path)), Extents())
        self.attached: list[SnapshotDevice] = []

    def attach(self, snapshot: SnapshotDevice) -> None:
        self.attached.append(snapshot)


@pytest.fixture
def store(swap_file: SwapFile) -> OneFile:
    return OneFile(swap_file(50))


class Failing:
    """Lets that many writes of the first page through, and fails the later ones."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, passing: int) -> None:
        self._left = passing
        self._really = write_pages
        monkeypatch.setattr(store_header, "write_pages", self.write)

    def write(self, fd: int, name: str, page: int, data: memoryview) -> None:
        if not self._left:
            raise cannot("write", name, OSError(errno.EIO, "Input/output error"))
        self._left -= 1
        self._really(fd, name, page, data)


def test_power_off_that_returns_takes_the_mark_away(
    device: FakeSnapshot, swap_file: SwapFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = swap_file(2000)
    before = first_page(path)
    marked: list[bool] = []

    def refuse(*_: object) -> None:
        with open_image(str(path)) as source:
            stream = b"".join(bytes(raw) for raw in ImageReader(source).stream())
        marked.append(hashlib.sha256(stream).digest() == hashlib.sha256(STREAM).digest())
        raise KernelRefusedError("the machine does not power off")

    monkeypatch.setattr(sequence, "power_off", refuse)
    said: list[str] = []
    with pytest.raises(KernelRefusedError, match="does not power off"):
        hibernate(plan(path), said.append)
    assert marked == [True]
    assert first_page(path) == before
    assert said[-4:-1] == ["marking", "marked, powering off", "mark cleared"]
    assert said[-1].startswith("the machine was frozen for ")


def test_mark_that_cannot_be_taken_away_keeps_the_machine_frozen(
    device: FakeSnapshot, swap_file: SwapFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception stands for the restart: what follows it is the fake's."""
    tried: list[int] = []
    undone: list[str] = []

    def restart(command: int) -> None:
        tried.append(command)
        undone.extend({"free_swap_pages", "free", "unfreeze", "close"} & set(device.calls))
        raise PoweredOff

    def refuse(*_: object) -> None:
        Failing(monkeypatch, 0)
        raise KernelRefusedError("the machine does not power off")

    monkeypatch.setattr(sequence, "power_off", refuse)
    monkeypatch.setattr(power, "reboot", restart)
    path = swap_file(2000)
    with pytest.raises(PoweredOff):
        hibernate(plan(path), lambda _: None)
    assert (tried, undone) == ([power.RB_AUTOBOOT], [])
    fd = os.open(path, os.O_RDONLY)
    assert read_header(fd, str(path)).mark() is not None
    os.close(fd)


def test_mark_that_never_got_there_lets_the_machine_go_on(
    device: FakeSnapshot, swap_file: SwapFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = swap_file(2000)
    before = first_page(path)
    Failing(monkeypatch, 0)
    with pytest.raises(UnreadableError, match="cannot write"):
        hibernate(plan(path), lambda _: None)
    assert first_page(path) == before
    assert device.calls[-4:] == ["free_swap_pages", "free", "unfreeze", "close"]


def test_device_that_cannot_be_asked_any_more_ends_the_machine(
    store: OneFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_: object) -> None:
        raise UnreadableError("cannot read")

    ours = Marking(store, OURS, lambda _: None)
    monkeypatch.setattr(store_header, "read_at", unreadable)
    with pytest.raises(UnreadableError):
        ours.clear()
    ours.set(mark_of())
    with pytest.raises(PoweredOff):
        ours.clear()


@pytest.mark.parametrize("state", MarkState)
def test_our_mark_goes_whatever_its_state(state: MarkState, store: OneFile) -> None:
    before = bytes(store.slot.data)
    put_mark(Path(store.slot.name), mark_of(state=state))
    assert first_page(Path(store.slot.name)) != before
    Marking(store, OURS, lambda _: None).clear()
    assert first_page(Path(store.slot.name)) == before


def test_mark_without_its_signature_goes_too(store: OneFile) -> None:
    """The writer was killed between its two writes to swap."""
    before = bytes(store.slot.data)
    put_mark(Path(store.slot.name), mark_of())
    with open(store.slot.name, "r+b") as file:
        file.seek(PAGE_SIZE - 10)
        file.write(b"SWAPSPACE2")
    Marking(store, OURS, lambda _: None).clear()
    assert first_page(Path(store.slot.name)) == before


def test_mark_of_another_image_stays(store: OneFile) -> None:
    put_mark(Path(store.slot.name), mark_of(UUID(int=7)))
    before = first_page(Path(store.slot.name))
    Marking(store, OURS, lambda _: None).clear()
    assert first_page(Path(store.slot.name)) == before


def test_half_of_a_mark_goes_only_if_it_must_be_ours(store: OneFile) -> None:
    path = Path(store.slot.name)
    ours = Marking(store, OURS, lambda _: None)
    empty = bytes(store.slot.data)
    ours.set(mark_of())
    with path.open("r+b") as file:
        file.seek(1400)
        file.write(b"torn")
    torn = first_page(path)
    Marking(store, OURS, lambda _: None).clear()
    assert first_page(path) == torn
    ours.clear()
    assert first_page(path) == empty


def test_machine_that_must_not_go_on_tries_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def refuse(command: int) -> None:
        tried.append(command)
        raise OSError(errno.EPERM, "Operation not permitted")

    def asleep(_seconds: float) -> None:
        raise PoweredOff

    def closed(_message: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(power, "reboot", refuse)
    monkeypatch.setattr(time, "sleep", asleep)
    with pytest.raises(PoweredOff):
        never_go_on("why", closed)
    assert tried == [power.RB_AUTOBOOT, power.RB_HALT_SYSTEM]


def killed_with(*rescue: Callable[[], None]) -> None:
    """Kill a writer that has this watchdog, and wait until the watchdog has ended."""
    read_end, write_end = os.pipe()
    writer = os.fork()
    if writer == 0:
        with Watchdog(*rescue):
            os.kill(os.getpid(), signal.SIGKILL)
    os.close(write_end)
    os.waitpid(writer, 0)
    assert os.read(read_end, 1) == b""  # the watchdog had the other end open, too
    os.close(read_end)


def test_watchdog_takes_the_mark_away_before_it_thaws(
    store: OneFile, device: FakeSnapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marking, "open_snapshot", device.open)
    path = Path(store.slot.name)
    before = first_page(path)
    ours = Marking(store, OURS, lambda _: None)
    put_mark(path, mark_of())
    thawed = tmp_path / "thawed"
    killed_with(ours.clear_alone, lambda: write(thawed, first_page(path)))
    assert thawed.read_bytes() == before


def test_active_swap_is_written_by_who_has_set_it_at_the_snapshot_device(
    store: OneFile, device: FakeSnapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's rule; the watchdog opens the device for that, and only for that."""
    really = StoreHeader.clear

    def clear(header: StoreHeader) -> None:
        assert store.attached == [device]
        assert device.flags == os.O_RDONLY
        really(header)

    monkeypatch.setattr(marking, "open_snapshot", device.open)
    monkeypatch.setattr(StoreHeader, "clear", clear)
    ours = Marking(store, OURS, lambda _: None)
    ours.clear_alone()
    assert (store.attached, device.calls) == ([], [])
    put_mark(Path(store.slot.name), mark_of())
    ours.clear_alone()
    assert store.attached == [device]
    assert device.calls == ["close"]


def write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def test_watchdog_restarts_the_machine_and_thaws_nothing_where_the_mark_stays(
    store: OneFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, thawed = tmp_path / "told", tmp_path / "thawed"

    def restart(command: int) -> None:
        write(told, str(command).encode())
        os._exit(0)

    ours = Marking(store, OURS, lambda _: None)
    ours.set(mark_of())
    monkeypatch.setattr(power, "reboot", restart)  # and there is no /dev/snapshot to be had
    killed_with(ours.clear_alone, lambda: write(thawed, b""))
    assert told.read_bytes() == str(power.RB_AUTOBOOT).encode()
    assert not thawed.exists()


def test_watchdog_thaws_where_nothing_was_marked_and_the_device_is_gone(
    store: OneFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_: object) -> None:
        raise UnreadableError("cannot read")

    thawed = tmp_path / "thawed"
    monkeypatch.setattr(store_header, "read_at", unreadable)
    ours = Marking(store, OURS, lambda _: None)
    killed_with(ours.clear_alone, lambda: write(thawed, b""))
    assert thawed.exists()


def test_watchdog_is_not_ended_by_what_systemd_sends_after_its_writer(tmp_path: Path) -> None:
    done = tmp_path / "done"

    def slow() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
        done.touch()

    killed_with(slow)
    assert done.exists()


def claim_when_restored(device: FakeSnapshot, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a resumer leaves on the disk before it restores us."""
    really = device.do_create_image

    def create_image(argument: object) -> int:
        put_mark(path, replace(mark_of(state=MarkState.CLAIMED), loads=1, attempts=1))
        return really(argument)

    device.second_life = True
    monkeypatch.setattr(device, "do_create_image", create_image)


def test_restored_machine_clears_the_mark_before_it_thaws(
    device: FakeSnapshot, swap_file: SwapFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = swap_file(50)
    before = first_page(path)
    claim_when_restored(device, path, monkeypatch)
    at_thaw: list[bytes] = []
    really = device.do_unfreeze

    def unfreeze(argument: object) -> None:
        at_thaw.append(first_page(path))
        really(argument)

    monkeypatch.setattr(device, "do_unfreeze", unfreeze)
    said: list[str] = []
    hibernate(plan(path), said.append)
    assert at_thaw == [before]
    assert said[-3:-1] == ["mark cleared", "resumed"]


def test_restored_machine_goes_on_even_if_the_claimed_mark_stays(
    device: FakeSnapshot, swap_file: SwapFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No boot restores it: the user gets the machine, and the log says what is left."""
    path = swap_file(50)
    claim_when_restored(device, path, monkeypatch)
    Failing(monkeypatch, 2)
    said: list[str] = []
    hibernate(plan(path), said.append)
    assert "the mark is not cleared: cannot write" in said[-3]
    assert device.calls[-3:] == ["free", "unfreeze", "close"]
