"""In which order a machine stops, what is found, and what is named if it does not stop."""

import errno
import os
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path

import pytest

from errors import KernelRefusedError
from guard.take import Guarded
from hibernate import freeze, namespaces, stuck
from hibernate.cgroups import Cgroups
from hibernate.filesystems import FileSystems
from hibernate.freeze import Freeze
from hibernate.namespaces import every_mount
from hibernate.order import topmost_first
from hibernate.stuck import freeze_tasks, stuck_tasks
from linux import filesystem, stack, tasks
from linux.mounts import Mount
from tests.unit.fake_snapshot import FakeSnapshot

NFS = Mount(30, "0:44", "/net", "nfs4", "server:/x")
DISK = Mount(32, "8:1", "/", "ext4", "/dev/sda1")


FILES = {"loop0": "/srv/image", "loop1": "/mnt/loop/inner"}


@pytest.fixture
def loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """8:1 is a disk, 7:0 a loop device, 253:0 LVM on another, 0:40 a btrfs on a disk."""
    names = {"8:1": ["sda1"], "8:2": ["sda2"], "7:0": ["loop0"], "253:0": ["dm-0", "loop1"]}
    layers = {key: [stack.Layer(name, "", "") for name in found] for key, found in names.items()}
    monkeypatch.setattr(stack, "layers_of", layers.__getitem__)
    monkeypatch.setattr(stack, "layers", lambda _path: [stack.Layer("sdb", "", "")])
    monkeypatch.setattr(stack, "backing_file", lambda name: FILES.get(name, ""))


@pytest.mark.usefixtures("loops")
def test_file_system_in_a_file_stops_before_the_one_that_holds_it() -> None:
    """Also if it is listed before, as in a copied mount namespace."""
    root = [Mount(1, "8:1", "/", "ext4", "/dev/sda1")]
    loop = [Mount(2, "7:0", "/mnt/loop", "ext4", "/dev/loop0")]
    inner = [Mount(3, "253:0", "/mnt/inner", "xfs", "/dev/dm-0")]
    holder = [Mount(4, "8:2", "/srv", "ext4", "/dev/sda2")]
    other = [Mount(5, "0:40", "/data", "btrfs", "/dev/sdb")]
    for order in ([root, loop, inner, holder, other], [inner, loop, root, holder, other]):
        stopped = topmost_first(order)
        assert stopped.index(inner) < stopped.index(loop) < stopped.index(holder)
    assert topmost_first([root, holder, other]) == [other, holder, root]


@pytest.mark.usefixtures("loops")
def test_file_system_that_hides_its_own_file() -> None:
    root = [Mount(1, "8:1", "/", "ext4", "/dev/sda1")]
    loop = [Mount(2, "7:0", "/srv", "ext4", "/dev/loop0")]
    assert topmost_first([loop, root]) == [loop, root]


def test_mounts_of_other_namespaces_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    spaces = {None: "mnt:[1]", 2: "mnt:[1]", 30: "mnt:[2]", 31: "mnt:[2]", 40: "gone"}

    def mount_namespace(pid: int | None = None) -> str:
        if pid == 40:
            raise ProcessLookupError
        return spaces[pid]

    def read_mounts(pid: int | None = None) -> list[Mount]:
        return [DISK] if pid is None else [DISK, NFS]

    monkeypatch.setattr(tasks, "pids", lambda: [2, 30, 31, 40])
    monkeypatch.setattr(tasks, "mount_namespace", mount_namespace)
    monkeypatch.setattr(namespaces, "read_mounts", read_mounts)
    assert [mount.mount_point for mount in every_mount()] == [
        "/",
        "/proc/30/root/",
        "/proc/30/root/net",
    ]


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


class Log:
    """Stands for the kernel log, which shows tasks when the freeze has failed."""

    messages: list[str] = SHOWN[:4]

    def close(self) -> None:
        return

    def new_messages(self) -> list[str]:
        return self.messages


@pytest.mark.parametrize(
    ("messages", "expected"),
    [(SHOWN[:4], r"fstrim \(process 15564\) does not stop"), ([], "cannot be frozen: .*busy")],
)
def test_task_that_does_not_freeze_is_in_the_message(
    messages: list[str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Log, "messages", messages)
    monkeypatch.setattr(stuck, "KernelLogReader", Log)
    device = FakeSnapshot().open(os.O_RDONLY)
    device.fail["freeze"] = errno.EBUSY
    with pytest.raises(KernelRefusedError, match=expected):
        freeze_tasks(device)


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

    def entries(_self: Guarded) -> None:
        steps.append("guard")
        raise KernelRefusedError("unreadable")

    device = FakeSnapshot().open(os.O_RDONLY)
    monkeypatch.setattr(freeze, "Cgroups", Noted)
    monkeypatch.setattr(freeze, "flush", lambda _mounts: steps.append("flush"))
    monkeypatch.setattr(device, "freeze", lambda: steps.append("freeze"))
    monkeypatch.setattr(device, "unfreeze", lambda: steps.append("unfreeze"))
    monkeypatch.setattr(FileSystems, "freeze", lambda _: steps.append("file systems"))
    monkeypatch.setattr(FileSystems, "thaw", lambda _: steps.append("thaw"))
    monkeypatch.setattr(Guarded, "entries", entries)
    with pytest.raises(KernelRefusedError), ExitStack() as undo, Freeze(("x",)) as all_of_it:
        all_of_it.begin(device, undo, lambda _: None)
    stopping = ["choose ('x',)", "cgroups", "flush", "freeze", "file systems", "guard"]
    assert steps == [*stopping, "thaw", "unfreeze", "thaw cgroups"]


def test_zfs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of the module's own is no pool."""
    monkeypatch.setattr(filesystem, "ZFS_KSTAT", str(tmp_path))
    (tmp_path / "not-a-pool").mkdir()
    (tmp_path / "tank").mkdir()
    (tmp_path / "tank/state").write_text("ONLINE\n")
    with pytest.raises(KernelRefusedError, match="and tank would not") as refused:
        Freeze(())
    assert "zpool export tank" in refused.value.hint
