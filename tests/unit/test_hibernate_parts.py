"""Which store, which file systems, and what thaws them when the writer is gone."""

import errno
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from errors import (
    KernelRefusedError,
)
from hibernate.filesystems import FileSystems
from hibernate.power_off import Mode, power_off
from hibernate.watchdog import Watchdog
from linux import filesystem, power
from linux.mounts import Mount, mount_id_of
from tests.unit.fake_snapshot import FakeSnapshot, PoweredOff

GIB = 1 << 30


class Frozen:
    """Stands for the kernel: which file systems are frozen, in a folder that outlives us."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fail: dict[str, int] = {}
        self.mounts: list[Mount] = []

    def name(self, fd: int) -> str:
        return Path(os.readlink(f"/proc/self/fd/{fd}")).name

    def freeze(self, fd: int) -> None:
        if number := self.fail.get(self.name(fd)):
            raise OSError(number, os.strerror(number))
        (self.folder / self.name(fd)).touch()

    def thaw(self, fd: int) -> None:
        (self.folder / self.name(fd)).unlink()

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def frozen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Frozen:
    state = Frozen(tmp_path / "frozen")
    state.folder.mkdir()
    for number, name in enumerate(("one", "two")):
        (tmp_path / name).mkdir()
        fd = os.open(tmp_path / name, os.O_RDONLY)
        mount = Mount(mount_id_of(fd), f"8:{number}", str(tmp_path / name), "ext4", "/dev/x")
        state.mounts.append(mount)
        os.close(fd)
    monkeypatch.setattr(filesystem, "freeze", state.freeze)
    monkeypatch.setattr(filesystem, "thaw", state.thaw)
    return state


@pytest.fixture
def opened(frozen: Frozen) -> FileSystems:
    return FileSystems([[mount] for mount in frozen.mounts])


def test_only_what_we_froze_is_thawed(frozen: Frozen, opened: FileSystems) -> None:
    (frozen.folder / "two").touch()
    frozen.fail["two"] = errno.EBUSY
    opened.freeze()
    assert frozen.names() == ["one", "two"]
    opened.thaw()
    assert frozen.names() == ["two"]


def test_file_system_that_cannot_be_thawed_keeps_no_other_one_frozen(
    frozen: Frozen, opened: FileSystems, monkeypatch: pytest.MonkeyPatch
) -> None:
    def thaw(fd: int) -> None:
        if frozen.name(fd) == "two":
            raise OSError(errno.EIO, "input/output error")
        frozen.thaw(fd)

    monkeypatch.setattr(filesystem, "thaw", thaw)
    opened.freeze()
    with pytest.raises(OSError, match="input/output error"):
        opened.thaw()
    assert frozen.names() == ["two"]


def test_file_system_that_fails_stops_it_and_the_others_can_be_thawed(
    frozen: Frozen, opened: FileSystems
) -> None:
    frozen.fail["one"] = errno.EIO
    with pytest.raises(KernelRefusedError, match=r"cannot freeze .*/one"):
        opened.freeze()
    opened.thaw()
    assert frozen.names() == []


def test_file_system_that_cannot_be_frozen_is_synced(
    frozen: Frozen, opened: FileSystems, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(filesystem, "sync_file_system", lambda fd: synced.append(frozen.name(fd)))
    frozen.fail["one"] = errno.EOPNOTSUPP
    opened.freeze()
    assert synced == ["one"]
    assert frozen.names() == ["two"]


def test_mount_hidden_below_another_is_refused(frozen: Frozen) -> None:
    with pytest.raises(KernelRefusedError, match=r"mounted at .*/two cannot be reached"):
        FileSystems([[replace(mount, mount_id=-1)] for mount in frozen.mounts[1:]])


def test_hidden_mount_is_reached_by_another_of_the_same_file_system(
    frozen: Frozen,
) -> None:
    one, two = frozen.mounts
    hidden = replace(one, mount_id=-1, mount_point=two.mount_point)
    FileSystems([[hidden, one]]).freeze()
    assert frozen.names() == ["one"]


def test_watchdog_thaws_when_the_writer_is_killed(frozen: Frozen, opened: FileSystems) -> None:
    writer = os.fork()
    if writer == 0:
        with Watchdog(opened.thaw):
            opened.freeze()
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(writer, 0)
    deadline = time.monotonic() + 20
    while frozen.names() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert frozen.names() == []


def test_watchdog_leaves_all_as_it_is_when_the_writer_is_well(
    frozen: Frozen, opened: FileSystems
) -> None:
    with Watchdog(opened.thaw):
        opened.freeze()
    assert frozen.names() == ["one", "two"]


@pytest.mark.parametrize(
    ("mode", "supported", "ends"),
    [
        (Mode.PLATFORM, True, ["power_off"]),
        (Mode.PLATFORM, False, ["power_off", power.RB_POWER_OFF]),
        (Mode.SHUTDOWN, True, [power.RB_POWER_OFF]),
        (Mode.REBOOT, True, [power.RB_AUTOBOOT]),
    ],
)
def test_ways_to_end(
    mode: Mode, supported: bool, ends: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    device = FakeSnapshot().open(os.O_RDONLY)
    device.platform_support(enabled=supported)
    seen: list[object] = []

    def off(command: int) -> None:
        seen.append(command)
        raise PoweredOff

    monkeypatch.setattr(power, "reboot", off)
    with pytest.raises(PoweredOff):
        power_off(device, mode)
    assert [c for c in device.calls if c == "power_off"] + seen == ends


def test_machine_that_does_not_power_off_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power, "reboot", lambda _command: None)
    with pytest.raises(KernelRefusedError, match="does not power off"):
        power_off(FakeSnapshot().open(os.O_RDONLY), Mode.SHUTDOWN)
