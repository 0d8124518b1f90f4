"""Which store, which file systems, and who thaws them when the writer is gone."""

import errno
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hibernate import choose, filesystems
from hibernate.choose import choose_store, largest_swap, open_store, resumes_from
from hibernate.filesystems import FileSystems, to_freeze
from hibernate.guardian import Guardian
from hibernate.power_off import Mode, power_off
from kernel import freeze, power, swap
from kernel.mounts import Mount, mount_id_of
from store.errors import DeviceNotFoundError, KernelRefusedError, StoreRefusedError
from tests.unit.conftest import SwapFile
from tests.unit.fake_snapshot import FakeSnapshot, PoweredOff

GIB = 1 << 30


def area(path: str, size: int, *, is_partition: bool = True) -> swap.SwapArea:
    return swap.SwapArea(path, is_partition, size, 0)


def test_largest_partition_is_chosen_and_never_zram_or_a_file() -> None:
    areas = [
        area("/dev/zram0", 9 * GIB),
        area("/dev/sda2", GIB),
        area("/swapfile", 8 * GIB, is_partition=False),
        area("/dev/sda3", 2 * GIB),
    ]
    assert largest_swap(areas) == "/dev/sda3"
    with pytest.raises(StoreRefusedError, match="no swap partition"):
        largest_swap([area("/dev/zram0", GIB)])


def test_named_store_comes_before_resume_and_that_before_swap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = {"UUID=a": "/dev/a", "LABEL=b": "/dev/b"}
    monkeypatch.setattr(choose, "find_device", known.get)
    monkeypatch.setattr(swap, "active_swaps", lambda: [area("/dev/c", GIB)])
    assert choose_store("UUID=a", "resume=LABEL=b") == "/dev/a"
    assert choose_store(None, "quiet resume=LABEL=b") == "/dev/b"
    assert choose_store(None, "quiet") == "/dev/c"
    with pytest.raises(DeviceNotFoundError, match="resume= on the kernel command line names"):
        choose_store(None, "resume=LABEL=gone")


def test_store_that_is_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "image"
    file.write_bytes(b"x")
    with pytest.raises(StoreRefusedError, match="not a block device"):
        choose_store(str(file), "")


def test_resume_that_names_another_device_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    (tmp_path / "link").symlink_to("a")
    monkeypatch.setattr(choose, "find_device", lambda spec: str(tmp_path / spec))
    assert resumes_from(str(tmp_path / "a"), "resume=link")
    assert not resumes_from(str(tmp_path / "b"), "resume=link")
    assert not resumes_from(str(tmp_path / "a"), "quiet")


@pytest.mark.parametrize(("name", "kind"), [("zram0", "compressed memory"), ("f", "swap file")])
def test_swap_that_cannot_hold_an_image(
    name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    path.touch()
    used = area(str(path), GIB, is_partition=name == "zram0")
    monkeypatch.setattr(swap, "active_swaps", lambda: [used])
    with pytest.raises(StoreRefusedError, match=kind):
        open_store(str(path))


def test_inactive_swap_is_refused(swap_file: SwapFile, monkeypatch: pytest.MonkeyPatch) -> None:
    path = swap_file(20)
    monkeypatch.setattr(swap, "active_swaps", list)
    with pytest.raises(StoreRefusedError, match="not a block device"):
        open_store(str(path))


def test_block_file_systems_stop_once_each_and_the_last_mounted_first() -> None:
    mounts = [
        Mount(1, "8:1", "/", "ext4", "/dev/sda1"),
        Mount(2, "0:5", "/dev", "devtmpfs", "udev"),
        Mount(3, "0:40", "/data", "btrfs", "/dev/sdb"),
        Mount(4, "8:1", "/again", "ext4", "/dev/sda1"),
        Mount(5, "8:17", "/ntfs", "fuseblk", "/dev/sdb1"),
        Mount(6, "7:0", "/loop", "ext4", "/dev/loop0"),
        Mount(7, "0:44", "/net", "nfs4", "server:/x"),
    ]
    places = [[mount.mount_point for mount in group] for group in to_freeze(mounts)]
    assert places == [["/loop"], ["/data"], ["/", "/again"]]


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
    monkeypatch.setattr(filesystems, "read_mounts", lambda: state.mounts)
    monkeypatch.setattr(freeze, "freeze", state.freeze)
    monkeypatch.setattr(freeze, "thaw", state.thaw)
    return state


@pytest.fixture
def opened(frozen: Frozen) -> FileSystems:
    file_systems = FileSystems()
    file_systems.open_all()
    return file_systems


def test_only_what_we_froze_is_thawed(frozen: Frozen, opened: FileSystems) -> None:
    (frozen.folder / "two").touch()
    frozen.fail["two"] = errno.EBUSY
    opened.freeze()
    assert frozen.names() == ["one", "two"]
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


def test_mount_hidden_below_another_is_refused(
    frozen: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filesystems, "mount_id_of", lambda _fd: -1)
    with pytest.raises(KernelRefusedError, match=r"mounted at .*/two cannot be reached"):
        FileSystems().open_all()


def test_hidden_mount_is_reached_by_another_of_the_same_file_system(
    frozen: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = frozen.mounts
    hidden = replace(one, mount_id=-1, mount_point=two.mount_point)
    monkeypatch.setattr(filesystems, "read_mounts", lambda: [hidden, one])
    file_systems = FileSystems()
    file_systems.open_all()
    file_systems.freeze()
    assert frozen.names() == ["one"]


def test_guardian_thaws_when_the_writer_is_killed(frozen: Frozen, opened: FileSystems) -> None:
    writer = os.fork()
    if writer == 0:
        with Guardian(opened):
            opened.freeze()
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(writer, 0)
    deadline = time.monotonic() + 20
    while frozen.names() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert frozen.names() == []


def test_guardian_leaves_all_as_it_is_when_the_writer_is_well(
    frozen: Frozen, opened: FileSystems
) -> None:
    with Guardian(opened):
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
