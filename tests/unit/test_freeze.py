"""Which file systems stop, in which order; a sync that ends in limited time; and what is named."""

import contextlib
import errno
import os
import signal
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack, nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from errors import AbortedError, KernelRefusedError
from guard.take import Guarded
from hibernate import filesystems, freeze
from hibernate import flush as flushing
from hibernate.cgroups import Cgroups
from hibernate.filesystems import FileSystems, every_mount, to_freeze
from hibernate.flush import flush, without_block_device
from hibernate.freeze import Freeze, freeze_tasks, stuck_tasks
from hibernate.last_resort import LastResort
from hibernate.signals import signals_held_back
from linux import filesystem, tasks
from linux.mounts import Mount, MountTable, SwapArea
from linux.waiting import readable
from tests.tools import wait_until
from tests.unit.fake_root import Disks
from tests.unit.fake_snapshot import FakeSnapshot

SHOWN = [
    "Freezing user space processes",
    "Freezing user space processes failed after 20.007 seconds (1 tasks refusing to freeze):",
    "task:fstrim          state:D stack:0     pid:15564 tgid:15564 ppid:1      flags:0x00004006",
    "Call Trace:",
    "task:my task: x      state:D stack:    0 pid:  130 ppid:   120 flags:0x00000081",
    "task:cut             state:D",
    "task:fourth          state:D stack:0     pid:1 tgid:1",
]


def test_tasks_that_the_kernel_shows_are_named() -> None:
    assert stuck_tasks(SHOWN) == [
        "fstrim (process 15564)",
        "my task: x (process 130)",
        "cut (process ?)",
    ]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [(SHOWN[:4], r"fstrim \(process 15564\) does not stop"), ([], "cannot be frozen: .*busy")],
)
def test_task_that_does_not_freeze_is_in_the_message(
    messages: list[str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel log shows tasks when the freeze has failed."""
    log = nullcontext(SimpleNamespace(new_messages=lambda: messages))
    monkeypatch.setattr(freeze, "KernelLogReader", lambda: log)
    monkeypatch.setattr(freeze, "RETRY", 0)
    device = FakeSnapshot().open(os.O_RDONLY)
    device.fail["freeze"] = errno.EBUSY
    with pytest.raises(KernelRefusedError, match=expected):
        freeze_tasks(device)


@pytest.mark.parametrize(
    ("number", "messages", "is_tried_again"),
    [
        (errno.EBUSY, [], True),
        (errno.EBUSY, ["Freezing user space processes aborted after 0.001 seconds"], True),
        (errno.EBUSY, SHOWN, False),
        (errno.EPERM, [], False),
    ],
)
def test_a_wakeup_event_is_no_task_that_does_not_stop(
    number: int, messages: list[str], monkeypatch: pytest.MonkeyPatch, *, is_tried_again: bool
) -> None:
    """From 6.19 on it ends the sync of SNAPSHOT_FREEZE, too."""
    log = nullcontext(SimpleNamespace(new_messages=lambda: messages))
    monkeypatch.setattr(freeze, "KernelLogReader", lambda: log)
    device = FakeSnapshot().open(os.O_RDONLY)
    device.fail["freeze"] = number
    monkeypatch.setattr(time, "sleep", lambda _seconds: device.fail.clear())
    with nullcontext() if is_tried_again else pytest.raises(KernelRefusedError):
        freeze_tasks(device)
    assert device.frozen == is_tried_again


def test_steps_of_the_freeze(monkeypatch: pytest.MonkeyPatch) -> None:
    """And their undo, in the opposite order, when the last one fails."""
    steps: list[str] = []

    class Noted(Cgroups):
        def __init__(self, helpers: Collection[str]) -> None:
            steps.append(f"choose {helpers}")

        def freeze(self, _log: object) -> None:
            steps.append("cgroups")

        def thaw(self) -> None:
            steps.append("thaw cgroups")

    def entries(_self: Guarded, _progress: Callable[[], None]) -> None:
        steps.append("guard")
        raise KernelRefusedError("unreadable")

    device = FakeSnapshot().open(os.O_RDONLY)
    monkeypatch.setattr(freeze, "Cgroups", Noted)
    monkeypatch.setattr(freeze, "flush", lambda _mounts: steps.append("flush"))
    monkeypatch.setattr(device, "freeze", lambda: steps.append("freeze"))
    monkeypatch.setattr(device, "unfreeze", lambda: steps.append("unfreeze"))
    monkeypatch.setattr(FileSystems, "freeze", lambda *_: steps.append("file systems"))
    monkeypatch.setattr(FileSystems, "thaw", lambda _: steps.append("thaw"))
    monkeypatch.setattr(Guarded, "entries", entries)
    with pytest.raises(KernelRefusedError), ExitStack() as undo, Freeze(("x",), "") as all_of_it:
        all_of_it.begin(device, undo, LastResort(60, print, lambda: False), print)
    stopping = ["choose ('x',)", "cgroups", "flush", "freeze", "file systems", "guard"]
    assert steps == [*stopping, "thaw", "unfreeze", "thaw cgroups"]


def test_swap_and_the_store_are_guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    guarded: list[str] = []
    swap = SwapArea("/dev/swap", is_partition=True, size=4096, used=0)
    monkeypatch.setattr(freeze, "active_swaps", lambda _root: [swap])
    monkeypatch.setattr(Guarded, "open_swap", lambda _self, paths: guarded.extend(paths))
    with Freeze((), "/dev/store"):
        assert guarded == ["/dev/store", "/dev/swap"]


def test_zfs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of the module's own is no pool."""
    monkeypatch.setattr(filesystem, "ZFS_KSTAT", str(tmp_path))
    (tmp_path / "not-a-pool").mkdir()
    (tmp_path / "tank").mkdir()
    (tmp_path / "tank/state").write_text("ONLINE\n")
    with pytest.raises(KernelRefusedError, match="and tank would not") as refused:
        Freeze((), "")
    assert "zpool export tank" in refused.value.hint


NFS = Mount(30, "0:44", "/net", "nfs4", "server:/x")
PROC = Mount(31, "0:5", "/proc", "proc", "proc")
DISK = Mount(32, "8:1", "/", "ext4", "/dev/sda1")
NTFS = Mount(34, "8:2", "/ntfs", "fuseblk", "/dev/sda2")
AUTOFS = Mount(33, "0:60", "/home", "autofs", "auto.home")


def test_autofs_is_not_looked_at() -> None:
    """To open one is to have it mounted, by a process that may be frozen."""
    table = MountTable([DISK, NFS, AUTOFS, PROC, NFS, NTFS])
    assert without_block_device(table) == [[NFS, NFS], [PROC], [NTFS]]


class Clock:
    """What flush sees of the time: nothing passes until `begun` is there, then 50 s a sleep."""

    def __init__(self, begun: Path) -> None:
        self._begun = begun
        self._now = 0.0

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
        if self._begun.exists():
            self._now += 50


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that starts the clock; nothing gets written meanwhile."""
    path = tmp_path / "begun"
    monkeypatch.setattr(flushing, "time", Clock(path))
    monkeypatch.setattr(flushing, "unwritten", lambda: 0)
    return path


def test_file_system_that_hangs_is_named(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung = tmp_path / "hung"
    (tmp_path / "fine").mkdir()
    hung.mkdir()

    def hang() -> None:
        begun.touch()
        time.sleep(3600)

    def sync(fd: int) -> None:
        if Path(os.readlink(f"/proc/self/fd/{fd}")) == hung:
            hang()

    monkeypatch.setattr(filesystem, "sync_file_system", sync)
    monkeypatch.setattr(os, "sync", lambda: None)
    fine = Mount(1, "0:50", str(tmp_path / "fine"), "fuse.x", "x")
    mounts = [DISK, fine, Mount(2, "0:51", str(hung), "nfs", "server:/x")]
    with pytest.raises(KernelRefusedError, match=rf"^{hung}: .* cannot be written"):
        flush(MountTable(mounts))
    begun.unlink()
    flush(MountTable(mounts[:2]))
    monkeypatch.setattr(os, "sync", hang)
    with pytest.raises(KernelRefusedError, match=r"^the disks: "):
        flush(MountTable(mounts[:2]))


def test_slow_disk_that_gets_on_is_waited_for(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter(range(1000, 0, -1))
    nearly = tmp_path / "nearly"

    def unwritten() -> int:
        if (size := next(left)) == 980:
            nearly.touch()
        return size

    monkeypatch.setattr(flushing, "unwritten", unwritten)
    monkeypatch.setattr(os, "sync", lambda: wait_until(nearly.exists))
    begun.touch()
    flush(MountTable([]))


def test_hung_sync_holds_nothing_open(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the watchdog would not see the writer's end, nor the next run get /dev/snapshot."""
    read_end, write_end = os.pipe()
    disk = tmp_path / "disk"
    os.mkfifo(disk)

    def hang() -> None:
        begun.touch()
        disk.read_bytes()

    monkeypatch.setattr(os, "sync", hang)
    monkeypatch.setattr(os, "kill", lambda *_: None)  # as for one that waits for a device
    writer = os.fork()
    if writer == 0:
        with contextlib.suppress(KernelRefusedError):
            flush(MountTable([]))
        os._exit(0)
    os.close(write_end)
    os.waitpid(writer, 0)
    try:
        assert readable(read_end, 60), "the sync holds the other end"
        assert os.read(read_end, 1) == b""
    finally:
        disk.write_bytes(b"")
        os.close(read_end)


def test_control_c_ends_the_waiting_for_the_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sync", lambda: time.sleep(60))
    with pytest.raises(AbortedError, match="SIGTERM"), signals_held_back():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGTERM)
        flush(MountTable([]))


ON_SDA1 = Mount(1, "8:0", "/", "ext4", "/dev/sda1")
DATA = Mount(2, "8:1", "/data", "ext4", "/dev/sdb1")
BTRFS = Mount(3, "0:40", "/srv", "btrfs", "/dev/sdc")
ON_SDD1 = Mount(4, "8:3", "/ntfs", "fuseblk", "/dev/sdd1")
TMPFS = Mount(5, "0:5", "/tmp", "tmpfs", "/dev/sda1")
NFS_6 = Mount(6, "0:44", "/net", "nfs4", "server:/x")
LOOP = Mount(7, "8:4", "/mnt", "ext4", "/dev/loop0")
OTHER = Mount(8, "8:5", "/mnt/inner", "xfs", "/dev/dm-0")


@pytest.fixture
def disks(tmp_path: Path) -> Disks:
    """Four disks, a loop device 8:4, and 8:5, LVM on another one, loop1."""
    made = Disks(tmp_path)
    for name in ("sda1", "sdb1", "sdc", "sdd1", "loop0", "dm-0", "loop1"):
        made.add(name)
    made.btrfs("1-2", "sdc")
    made.stack("dm-0", "loop1")
    return made


def test_each_stops_once_and_the_last_mounted_first(disks: Disks) -> None:
    again = Mount(9, "8:0", "/again", "ext4", "/dev/sda1")
    found = to_freeze(disks.table(ON_SDA1, TMPFS, BTRFS, again, ON_SDD1, DATA, NFS_6))
    assert found == [[DATA], [BTRFS], [ON_SDA1, again]]


def test_one_that_lies_in_a_file_stops_before_the_one_that_holds_it(disks: Disks) -> None:
    """Also if it is listed before, as in a copied mount namespace."""
    disks.hold("loop0", "/srv/image", BTRFS.device)
    disks.hold("loop1", "/mnt/inner image", LOOP.device)
    for mounts in ([ON_SDA1, LOOP, OTHER, BTRFS, DATA], [OTHER, LOOP, ON_SDA1, BTRFS, DATA]):
        stopped = to_freeze(disks.table(*mounts))
        assert stopped.index([OTHER]) < stopped.index([LOOP]) < stopped.index([BTRFS])
    assert to_freeze(disks.table(ON_SDA1, BTRFS, DATA)) == [[DATA], [BTRFS], [ON_SDA1]]


@pytest.mark.parametrize("path", ["/mnt/image", "/var/image", "/srv/image (deleted)", "/"])
def test_the_file_s_number_decides_and_not_its_path(path: str, disks: Disks) -> None:
    """Which is of another mount namespace, hidden by its own mount, or gone."""
    disks.hold("loop0", path, BTRFS.device)
    stopped = to_freeze(disks.table(LOOP, ON_SDA1, BTRFS))
    assert stopped.index([LOOP]) < stopped.index([BTRFS])


def test_mounts_of_other_namespaces_and_roots_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first process of a namespace may be chrooted, and see only a part of it."""
    ours, chrooted, theirs = ("mnt:[1]", "/"), ("mnt:[2]", "/jail"), ("mnt:[2]", "/")
    views = {None: ours, 2: ours, 29: chrooted, 30: theirs, 31: theirs}

    def mount_view(pid: int | None = None) -> tuple[str, str]:
        if pid not in views:
            raise ProcessLookupError
        return views[pid]

    monkeypatch.setattr(tasks, "pids", lambda: [2, 29, 30, 31, 40])
    monkeypatch.setattr(tasks, "mount_view", mount_view)
    seen = {29: [], 30: [ON_SDA1, NFS_6]}
    monkeypatch.setattr(filesystems, "mounts_of", lambda pid: seen.get(pid, [ON_SDA1]))
    points = [mount.mount_point for mount in every_mount()]
    assert points == ["/", "/proc/30/root/", "/proc/30/root/net"]
