"""Which store, which file systems, and what thaws them when the writer is gone."""

import errno
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from errors import (
    DeviceNotFoundError,
    KernelRefusedError,
    NoSpaceError,
    StoreRefusedError,
)
from hibernate import choose, filesystems
from hibernate.choose import (
    Settings,
    check_found,
    check_room,
    choose_store,
    largest_swap,
)
from hibernate.filesystems import FileSystems, to_freeze
from hibernate.power_off import Mode, power_off
from hibernate.watchdog import Watchdog
from linux import filesystem, power, swap
from linux.mounts import Mount, mount_id_of
from state.conf import Conf
from state.location import Location
from store import swap as store_swap
from store.place import Place
from tests.unit.fake_snapshot import FakeSnapshot, PoweredOff

GIB = 1 << 30


def area(path: str, size: int, *, is_partition: bool = True) -> swap.SwapArea:
    return swap.SwapArea(path, is_partition, size, 0)


def settings(
    command_line: str = "quiet", conf: Conf | None = None, location: Location | None = None
) -> Settings:
    return Settings(conf or Conf(), command_line, location)


@pytest.fixture
def lasting(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(device: str, name: str) -> None:
        if "zram" in device:
            raise StoreRefusedError(f"{name} is compressed memory")

    monkeypatch.setattr(choose, "refuse_volatile", check)


@pytest.mark.usefixtures("lasting")
def test_swap_with_the_most_room_is_chosen_and_never_zram() -> None:
    areas = [
        area("/dev/zram0", 9 * GIB),
        area("/dev/sda2", GIB),
        swap.SwapArea("/dev/sda4", is_partition=True, size=8 * GIB, used=7 * GIB),
        area("/gone", 10 * GIB, is_partition=False),
        area("/dev/sda3", 2 * GIB),
    ]
    assert largest_swap(areas) == "/dev/sda3"
    with pytest.raises(StoreRefusedError, match="/dev/zram0 is compressed memory"):
        largest_swap(areas[:1])
    with pytest.raises(StoreRefusedError, match="/gone does not exist; /dev/zram0 is compressed"):
        largest_swap([areas[0], areas[3]])
    with pytest.raises(StoreRefusedError, match="none is in use"):
        largest_swap([])


@pytest.mark.usefixtures("lasting")
def test_who_may_say_where_the_store_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    known = {"UUID=a": "/dev/a", "LABEL=b": "/dev/b", "8:2": "/dev/d", "UUID=e": "/dev/e"}
    monkeypatch.setattr(choose, "find_device", known.get)
    monkeypatch.setattr(swap, "active_swaps", lambda: [area("/dev/c", GIB)])
    resume, conf, kept = "resume=LABEL=b", Conf(store="8:2"), Location("UUID=e", 0, "")
    assert choose_store("UUID=a", settings(resume, conf, kept)) == "/dev/a"
    assert choose_store(None, settings(resume, conf, kept)) == "/dev/d"
    assert choose_store(None, settings(resume, None, kept)) == "/dev/b"
    assert choose_store(None, settings("quiet", None, kept)) == "/dev/e"
    assert choose_store(None, settings()) == "/dev/c"
    file = tmp_path / "store"
    file.touch()
    assert choose_store(None, settings("", None, Location("UUID=e", 5, "", str(file)))) == str(file)
    for wrong, source in (
        (settings("resume=LABEL=gone"), "resume= on the kernel command line names"),
        (settings(conf=Conf(store="LABEL=gone")), "torpor.conf names"),
        (settings(location=Location("LABEL=gone")), "torpor enable chose"),
    ):
        with pytest.raises(DeviceNotFoundError, match=f"LABEL=gone, which {source}, is not there"):
            choose_store(None, wrong)


def test_offset_on_the_command_line_is_a_swap_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = tmp_path / "device"
    device.touch()
    files = [area(f"/swap{number}", GIB, is_partition=False) for number in range(3)]
    monkeypatch.setattr(swap, "active_swaps", lambda: files)
    monkeypatch.setattr(choose, "find_device", lambda _: str(device))

    def place_of(path: str) -> Place:
        if path == "/swap0":
            raise StoreRefusedError("it has holes")
        return Place(str(device), 34816 + int(path[-1]))

    monkeypatch.setattr(store_swap, "place_of", place_of)
    assert choose_store(None, settings("resume=UUID=x resume_offset=34818")) == "/swap2"
    with pytest.raises(StoreRefusedError, match="no swap file in use begins at page 99"):
        choose_store(None, settings("resume=UUID=x resume_offset=99"))


@pytest.fixture
def at_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """At which page of the device "a" a store is said to begin."""
    for name in "ab":
        (tmp_path / name).touch()
    pages: dict[str, int] = {}
    monkeypatch.setattr(choose, "find_device", lambda spec: str(tmp_path / spec))
    monkeypatch.setattr(choose, "place_of", lambda path: Place(str(tmp_path / "a"), pages[path]))
    return pages


def test_next_boot_finds_the_store(at_page: dict[str, int]) -> None:
    at_page |= {"/dev/a": 0, "/file": 77}
    assert check_found("/dev/a", settings("resume=a")) == ""
    assert check_found("/dev/a", settings("", None, Location("a"))) == ""
    assert check_found("/file", settings("resume=a resume_offset=77")) == ""
    assert check_found("/file", settings("", None, Location("a", 77))) == ""


def test_next_boot_may_not_find_the_store(at_page: dict[str, int]) -> None:
    at_page |= {"/dev/a": 0, "/file": 77}
    does_not_name = "resume= on this boot's kernel command line does not name"
    for wrong in (settings("resume=b", None, Location("a")), settings("resume=a resume_offset=1")):
        assert does_not_name in check_found("/dev/a", wrong)
    assert "nothing tells the next boot to wait" in check_found("/dev/a", settings())
    assert "nothing tells" in check_found("/dev/a", settings("", None, Location("b")))
    for moved in (settings(), settings("", None, Location("a", 76))):
        with pytest.raises(StoreRefusedError, match="does not know where /file lies") as caught:
            check_found("/file", moved)
        assert "torpor enable --store /file" in caught.value.hint


def test_other_swaps(monkeypatch: pytest.MonkeyPatch) -> None:
    areas = [area("/dev/zram0", 9), area("/dev/a", 9), area("/swap", 9, is_partition=False)]
    monkeypatch.setattr(swap, "active_swaps", lambda: areas)
    monkeypatch.setattr(choose, "find_active", {"/dev/b": areas[1]}.get)
    assert choose.other_swaps("/dev/b") == ["/swap"]
    assert choose.other_swaps("/dev/store") == ["/dev/a", "/swap"]


class Room:
    """A store of which only the room matters."""

    name, size = "/dev/x", 10 << 20


def test_store_that_cannot_take_the_image_is_known_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "expected_image", lambda limit: limit)
    check_room(Room(), 80 << 20)  # type: ignore[arg-type]
    with pytest.raises(NoSpaceError, match="/dev/x: 10 MiB for an image of about 81 MiB"):
        check_room(Room(), 81 << 20)  # type: ignore[arg-type]


def test_block_file_systems_stop_once_each_and_the_last_mounted_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(filesystems, "types_on_devices", lambda: {"ext4", "btrfs", "fuseblk"})
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
    monkeypatch.setattr(filesystem, "freeze", state.freeze)
    monkeypatch.setattr(filesystem, "thaw", state.thaw)
    return state


@pytest.fixture
def opened(frozen: Frozen) -> FileSystems:
    return FileSystems(frozen.mounts)


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


def test_mount_hidden_below_another_is_refused(
    frozen: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filesystems, "mount_id_of", lambda _fd: -1)
    with pytest.raises(KernelRefusedError, match=r"mounted at .*/two cannot be reached"):
        FileSystems(frozen.mounts)


def test_hidden_mount_is_reached_by_another_of_the_same_file_system(
    frozen: Frozen,
) -> None:
    one, two = frozen.mounts
    hidden = replace(one, mount_id=-1, mount_point=two.mount_point)
    FileSystems([hidden, one]).freeze()
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
