"""No machine goes on with a valid mark on disk: the writer, or else the watchdog, clears it."""

import errno
import os
import re
import signal
import time
from pathlib import Path
from uuid import UUID

import pytest

from errors import KernelRefusedError, UnreadableError
from format.mark import Extents, Mark, MarkState
from hibernate import sequence
from hibernate.marking import Marking
from hibernate.power_off import never_go_on
from linux import PAGE_SIZE, power
from linux.snapshot import SnapshotDevice
from store import device as store_device
from store import header as store_header
from store.blocks import read_at, write_pages
from store.device import OwnStore
from store.header import StoreHeader, read_header
from tests.forge import SWAP
from tests.sources import read_file
from tests.tools import failing, failing_after
from tests.unit.conftest import SwapFile
from tests.unit.fake_snapshot import FakeSnapshot, PoweredOff
from tests.unit.hibernating import STREAM, Hibernation, kill_writer
from tests.unit.marked import mark_of, set_mark

OURS = UUID("aaaaaaaa-0000-0000-0000-000000000001")


def new_mark(image_uuid: UUID = OURS, state: MarkState = MarkState.COMPLETE) -> Mark:
    return Mark(state, image_uuid, PAGE_SIZE, 20, 1, 0)


class OneFile(OwnStore):
    """A store that notes by which snapshot device it may be written."""

    def __init__(self, path: Path) -> None:
        fd = os.open(path, os.O_RDWR)
        super().__init__(fd, str(path), read_header(fd, str(path)), Extents())
        self.attached: list[SnapshotDevice] = []

    def attach(self, snapshot: SnapshotDevice) -> None:
        self.attached.append(snapshot)

    def first_page(self) -> bytes:
        return Path(self.slot.name).read_bytes()[:PAGE_SIZE]

    def clear(self) -> None:
        """Have the mark cleared by somebody who has not set it."""
        Marking(self, OURS, lambda _: None).clear()


@pytest.fixture
def store(swap_file: SwapFile) -> OneFile:
    return OneFile(swap_file(50))


def fail_writes(monkeypatch: pytest.MonkeyPatch, after: int = 0) -> None:
    """Let that many writes of the first page through, and fail the later ones."""
    error = UnreadableError("cannot write it")
    monkeypatch.setattr(store_header, "write_pages", failing_after(after, write_pages, error))


REFUSED = KernelRefusedError("the machine does not power off")


def test_power_off_that_returns_takes_the_mark_away(
    hibernation: Hibernation, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked: list[bool] = []

    def refuse(*_: object) -> None:
        marked.append(read_file(hibernation.path) == STREAM)
        raise REFUSED

    monkeypatch.setattr(sequence, "power_off", refuse)
    with pytest.raises(KernelRefusedError, match="does not power off"):
        hibernation.run()
    assert marked == [True]
    assert hibernation.first_page() == hibernation.header
    *before, frozen, cleared, went_on = hibernation.said
    assert before[-2:] == ["marking", "marked, powering off"]
    assert re.sub(r"\d+\.\d", "0.1", frozen) == (
        "frozen for 0.1 s: "
        "stop 0.1, sync 0.1, freeze 0.1, guard 0.1, snapshot 0.1, write 0.1, mark 0.1"
    )
    assert cleared == "mark cleared"
    assert went_on.startswith("the machine was frozen for ")


def test_mark_that_cannot_be_taken_away_keeps_the_machine_frozen(
    hibernation: Hibernation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception stands for the restart: what follows it is the fake's."""
    tried: list[int] = []
    undone: list[str] = []

    def restart(command: int) -> None:
        tried.append(command)
        calls = set(hibernation.device.calls)
        undone.extend({"free", "unfreeze", "close"} & calls)
        raise PoweredOff

    def refuse(*_: object) -> None:
        fail_writes(monkeypatch)
        raise REFUSED

    monkeypatch.setattr(sequence, "power_off", refuse)
    monkeypatch.setattr(power, "reboot", restart)
    with pytest.raises(PoweredOff):
        hibernation.run()
    assert (tried, undone) == ([power.RB_AUTOBOOT], [])
    assert mark_of(hibernation.path) is not None


def test_mark_that_never_got_there_lets_the_machine_go_on(
    hibernation: Hibernation, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_writes(monkeypatch)
    with pytest.raises(UnreadableError, match="cannot write"):
        hibernation.run()
    assert hibernation.first_page() == hibernation.header
    assert hibernation.device.calls[-3:] == ["free", "unfreeze", "close"]


def test_device_that_cannot_be_asked_any_more_ends_the_machine(
    store: OneFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = Marking(store, OURS, lambda _: None)
    monkeypatch.setattr(store_header, "read_at", failing(UnreadableError("cannot read")))
    with pytest.raises(UnreadableError):
        ours.clear()
    ours.begin()
    ours.set(new_mark())
    with pytest.raises(PoweredOff):
        ours.clear()


@pytest.mark.parametrize("state", MarkState)
def test_our_mark_goes_whatever_its_state(state: MarkState, store: OneFile) -> None:
    before = bytes(store.slot.data)
    set_mark(store.slot.name, new_mark(state=state))
    assert store.first_page() != before
    store.clear()
    assert store.first_page() == before


def test_mark_without_its_signature_goes_too(store: OneFile) -> None:
    """The writer was killed between its two writes to swap."""
    before = bytes(store.slot.data)
    set_mark(store.slot.name, new_mark())
    os.pwrite(store.fd, SWAP, PAGE_SIZE - 10)
    store.clear()
    assert store.first_page() == before


def test_mark_of_another_image_stays(store: OneFile) -> None:
    set_mark(store.slot.name, new_mark(UUID(int=7)))
    before = store.first_page()
    store.clear()
    assert store.first_page() == before


def test_half_of_a_mark_goes_only_if_it_must_be_ours(store: OneFile) -> None:
    ours = Marking(store, OURS, lambda _: None)
    empty = bytes(store.slot.data)
    ours.begin()
    ours.set(new_mark())
    os.pwrite(store.fd, b"torn", 1400)
    torn = store.first_page()
    store.clear()
    assert store.first_page() == torn
    ours.clear()
    assert store.first_page() == empty


def test_machine_that_must_not_go_on_tries_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def refuse(command: int) -> None:
        tried.append(command)
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(power, "reboot", refuse)
    monkeypatch.setattr(time, "sleep", failing(PoweredOff()))
    with pytest.raises(PoweredOff):
        never_go_on("why", failing(OSError(errno.EIO, "Input/output error")))
    assert tried == [power.RB_AUTOBOOT, power.RB_HALT_SYSTEM]


def test_watchdog_takes_the_mark_away_before_it_thaws(
    store: OneFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_device, "open_snapshot", FakeSnapshot().open)
    before = store.first_page()
    ours = Marking(store, OURS, lambda _: None)
    set_mark(store.slot.name, new_mark())
    thawed = tmp_path / "thawed"

    def thaw() -> None:
        thawed.write_bytes(store.first_page())

    kill_writer(ours.clear_alone, thaw)
    assert thawed.read_bytes() == before


def test_active_swap_is_written_by_who_has_set_it_at_the_snapshot_device(
    store: OneFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's rule; the watchdog opens the device for that, and only for that."""
    device = FakeSnapshot()
    really = StoreHeader.clear

    def clear(header: StoreHeader) -> None:
        assert store.attached == [device]
        assert device.flags == os.O_RDONLY
        really(header)

    monkeypatch.setattr(store_device, "open_snapshot", device.open)
    monkeypatch.setattr(StoreHeader, "clear", clear)
    ours = Marking(store, OURS, lambda _: None)
    ours.clear_alone()
    assert (store.attached, device.calls) == ([], [])
    set_mark(store.slot.name, new_mark())
    ours.clear_alone()
    assert store.attached == [device]
    assert device.calls == ["close"]


def test_watchdog_restarts_the_machine_and_thaws_nothing_where_the_mark_stays(
    store: OneFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, thawed = tmp_path / "told", tmp_path / "thawed"

    def restart(command: int) -> None:
        told.write_text(str(command))
        os._exit(0)

    ours = Marking(store, OURS, lambda _: None)
    ours.begin()
    ours.set(new_mark())
    monkeypatch.setattr(power, "reboot", restart)  # and there is no /dev/snapshot to be had
    kill_writer(ours.clear_alone, thawed.touch)
    assert told.read_text() == str(power.RB_AUTOBOOT)
    assert not thawed.exists()


def test_watchdog_thaws_where_nothing_was_marked_and_the_device_is_gone(
    store: OneFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thawed = tmp_path / "thawed"
    monkeypatch.setattr(store_header, "read_at", failing(UnreadableError("cannot read")))
    ours = Marking(store, OURS, lambda _: None)
    kill_writer(ours.clear_alone, thawed.touch)
    assert thawed.exists()


def test_watchdog_is_not_ended_by_what_systemd_sends_after_its_writer(tmp_path: Path) -> None:
    done = tmp_path / "done"

    def slow() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
        done.touch()

    kill_writer(slow)
    assert done.exists()


@pytest.fixture
def restored(hibernation: Hibernation) -> Hibernation:
    """One in whose second life the disk has what a resumer leaves there before it restores us."""
    claimed = new_mark(hibernation.plan.image_uuid, MarkState.CLAIMED)
    left = claimed._replace(loads=1, attempts=1)
    hibernation.device.second_life = True
    hibernation.device.before["create_image"] = lambda: set_mark(hibernation.path, left)
    return hibernation


def test_restored_machine_clears_the_mark_before_it_thaws(restored: Hibernation) -> None:
    at_thaw: list[bytes] = []
    restored.device.before["unfreeze"] = lambda: at_thaw.append(restored.first_page())
    restored.run()
    assert at_thaw == [restored.header]
    assert restored.said[-3:-1] == ["mark cleared", "resumed"]


def test_restored_machine_goes_on_even_if_the_claimed_mark_stays(
    restored: Hibernation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No boot restores it: the user gets the machine, and the log says what is left."""
    fail_writes(monkeypatch, after=2)
    restored.run()
    assert "the mark is not cleared: cannot write" in restored.said[-3]
    assert restored.device.calls[-3:] == ["free", "unfreeze", "close"]


def test_clearing_that_was_not_flushed_is_before_the_machine_goes_on(
    store: OneFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer was killed between its write and the flush: what can be read is not there yet."""
    calls: list[str] = []

    def read(fd: int, name: str, offset: int, room: memoryview) -> None:
        calls.append("read")
        read_at(fd, name, offset, room)

    monkeypatch.setattr(store_header, "sync", lambda *_: calls.append("sync"))
    monkeypatch.setattr(store_header, "read_at", read)
    store.clear()
    assert calls == ["sync", "read"]
