"""File systems and what thaws them when the writer is gone, ways to power off, types of pages."""

import errno
import os
import struct
import threading
from array import array
from pathlib import Path

import pytest

from errors import KernelRefusedError
from format.tables import PageTypes
from hibernate import filesystems
from hibernate.filesystems import FileSystems
from hibernate.page_types import PageTypeCounter
from hibernate.power_off import Mode, power_off
from hibernate.watchdog import Watchdog
from linux import filesystem, memory, power
from linux.mounts import Mount, mount_id_of
from tests.forge import PAGE
from tests.tools import wait_until
from tests.unit.fake_snapshot import FakeSnapshot, PoweredOff
from tests.unit.hibernating import kill_writer


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


def on() -> None:
    """Hear of progress."""


@pytest.fixture
def opened(frozen: Frozen) -> FileSystems:
    return FileSystems([[mount] for mount in frozen.mounts])


def test_only_what_we_froze_is_thawed(frozen: Frozen, opened: FileSystems) -> None:
    (frozen.folder / "two").touch()
    frozen.fail["two"] = errno.EBUSY
    opened.freeze(on)
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
    opened.freeze(on)
    with pytest.raises(OSError, match="input/output error"):
        opened.thaw()
    assert frozen.names() == ["two"]


def test_file_system_that_fails_stops_it_and_the_others_can_be_thawed(
    frozen: Frozen, opened: FileSystems
) -> None:
    frozen.fail["one"] = errno.EIO
    with pytest.raises(KernelRefusedError, match=r"cannot freeze .*/one"):
        opened.freeze(on)
    opened.thaw()
    assert frozen.names() == []


def test_file_system_that_cannot_be_frozen_is_synced(
    frozen: Frozen, opened: FileSystems, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(filesystem, "sync_file_system", lambda fd: synced.append(frozen.name(fd)))
    frozen.fail["one"] = errno.EOPNOTSUPP
    opened.freeze(on)
    assert synced == ["one"]
    assert frozen.names() == ["two"]


def test_mount_hidden_below_another_is_refused(frozen: Frozen) -> None:
    with pytest.raises(KernelRefusedError, match=r"mounted at .*/two cannot be reached"):
        FileSystems([[mount._replace(mount_id=-1)] for mount in frozen.mounts[1:]])


def test_hidden_mount_is_reached_by_another_of_the_same_file_system(frozen: Frozen) -> None:
    one, two = frozen.mounts
    hidden = one._replace(mount_id=-1, mount_point=two.mount_point)
    FileSystems([[hidden, one]]).freeze(on)
    assert frozen.names() == ["one"]


def test_others_are_thawed_while_one_hangs_in_being_frozen(
    frozen: Frozen, opened: FileSystems, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    def freeze(fd: int) -> None:
        frozen.freeze(fd)
        if frozen.name(fd) == "two":
            opened.thaw_apart()
            seen.append(frozen.names())

    monkeypatch.setattr(filesystem, "freeze", freeze)
    opened.freeze(on)
    assert seen == [["two"]]
    opened.thaw()
    assert frozen.names() == []


def test_others_are_thawed_while_one_hangs_in_its_thaw(
    frozen: Frozen, opened: FileSystems, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()

    def thaw(fd: int) -> None:
        if frozen.name(fd) == "one":
            answers.wait(60)
        frozen.thaw(fd)

    monkeypatch.setattr(filesystem, "thaw", thaw)
    monkeypatch.setattr(filesystems, "_ANSWERS_WITHIN", 0.2)
    opened.freeze(on)
    opened.thaw_apart()
    assert frozen.names() == ["one"]
    answers.set()
    wait_until(lambda: frozen.names() == [])


def test_watchdog_thaws_when_the_writer_is_killed(frozen: Frozen, opened: FileSystems) -> None:
    kill_writer(opened.thaw, at_work=lambda: opened.freeze(on))
    assert frozen.names() == []


def test_watchdog_leaves_all_as_it_is_when_the_writer_is_well(
    frozen: Frozen, opened: FileSystems
) -> None:
    with Watchdog(opened.thaw):
        opened.freeze(on)
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


ZERO = 1 << 63

# include/uapi/linux/kernel-page-flags.h, by its numbers.
SLAB, BUDDY, TAIL, NO_PAGE = 1 << 7, 1 << 10, 1 << 16, 1 << 20
CACHE = 1 << 5
SHMEM = CACHE | 1 << 14
ANON = SHMEM | 1 << 12


@pytest.fixture
def flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file to stand for /proc/kpageflags; one frame of each kind at first."""
    path = tmp_path / "kpageflags"
    monkeypatch.setattr(memory, "PAGE_FLAGS", str(path))
    put(path, 0, ANON, SHMEM, CACHE, SLAB, 0, BUDDY, NO_PAGE)
    return path


def put(path: Path, *values: int) -> None:
    path.write_bytes(struct.pack(f"={len(values)}Q", *values))


def stream(frames: list[int], zeros: int = 0) -> bytes:
    """Return a stream of these frames; `zeros` of them have the flag, and no page of data."""
    numbers = array("Q", frames).tobytes()
    if len(numbers) % PAGE:
        numbers += b"\xff" * 8
    numbers += bytes(-len(numbers) % PAGE)
    data = len(frames) - zeros
    pages = 1 + len(numbers) // PAGE + data
    info = bytes(416) + struct.pack("=QQ", data, pages)
    return info.ljust(PAGE, b"\0") + numbers + b"\xaa" * data * PAGE


def counted(data: bytes, step: int = 3 * PAGE) -> PageTypes | None:
    counter = PageTypeCounter()
    for at in range(0, len(data), step):
        counter.see(memoryview(data)[at : at + step])
    found = counter.result()
    counter.close()
    return found


@pytest.mark.parametrize("step", [PAGE, 3 * PAGE, 1 << 20])
def test_each_kind(step: int, flags: Path) -> None:
    found = counted(stream(list(range(8))), step)
    assert found == PageTypes(page_cache=1, anonymous=2, slab=1, kernel=2, other=2, sample=8)


def test_frames_with_gaps_and_pages_of_zeros(flags: Path) -> None:
    found = counted(stream([1 | ZERO, 3, 5, 6 | ZERO], zeros=2))
    assert found == PageTypes(page_cache=1, anonymous=1, slab=0, kernel=1, other=1, sample=4)


def test_many_frames_far_apart(flags: Path) -> None:
    frames = [*range(700), *range(20_000, 20_700), *range(90_000, 90_010)]
    values = [CACHE] * 20_000 + [ANON] * 70_000 + [SLAB] * 10
    put(flags, *values)
    found = counted(stream(frames))
    assert found == PageTypes(
        page_cache=700, anonymous=700, slab=10, kernel=0, other=0, sample=1410
    )


def test_tails_are_what_their_heads_are(flags: Path) -> None:
    """Also where head and tail come in different pages of numbers."""
    values = [0] * 510 + [CACHE, TAIL, TAIL, TAIL, ANON, ANON | TAIL, 0, TAIL]
    put(flags, *values)
    found = counted(stream(list(range(len(values)))), PAGE)
    assert found == PageTypes(page_cache=4, anonymous=2, slab=0, kernel=512, other=0, sample=518)


def test_of_many_frames_a_sample_is_looked_at(flags: Path) -> None:
    """All over them, and as many of each type as there are: here in blocks of the kernel's."""
    put(flags, *([CACHE] * 300 + [ANON] * 600 + [SLAB] * 124) * 100)
    found = counted(stream(list(range(102_400))), 64 * PAGE)
    assert found is not None
    assert 1024 < found.sample <= 2048
    shares = [count / 102_400 for count in found.by_name().values()]
    assert shares == pytest.approx([300 / 1024, 600 / 1024, 124 / 1024, 0, 0], abs=0.03)


def test_a_tail_whose_head_is_not_in_the_sample(flags: Path) -> None:
    put(flags, *[0] * 1024, ANON, *[TAIL] * 1023)
    found = counted(stream(list(range(1500, 1516))))
    assert found == PageTypes(page_cache=0, anonymous=16, slab=0, kernel=0, other=0, sample=16)


@pytest.mark.parametrize(
    ("data", "trouble"),
    [
        (b"\x11" * PAGE * 3, "does not begin as the kernel's does"),
        (bytes(PAGE), "does not begin as the kernel's does"),
        (stream([5, 9_999]), "ends before page frame 9999"),
        (stream([1]), "cannot be read: No such file"),
        (stream(list(range(8)) * 200)[: 2 * PAGE], ""),
    ],
)
def test_what_is_not_understood_is_not_counted(data: bytes, trouble: str, flags: Path) -> None:
    """Nor where the kernel tells no flags, or of a stream that ends too early."""
    if "No such file" in trouble:
        flags.unlink()
    counter = PageTypeCounter()
    counter.see(memoryview(data))
    assert counter.result() is None
    assert trouble in counter.trouble
    if trouble:
        counter.see(memoryview(data))
        assert counter.result() is None


def test_flags_of_this_machine() -> None:
    found = PageTypeCounter()
    if found.trouble:
        pytest.skip(found.trouble)
    found.see(memoryview(stream(list(range(256, 100_000)))))
    types = found.result()
    found.close()
    assert types is not None
    assert types.total == pytest.approx(100_000 - 256, rel=0.01)
    assert types.sample <= 2048
    assert types.kernel > 0
