"""A sync ends in limited time, and a file system that hangs is named."""

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from errors import AbortedError, KernelRefusedError
from hibernate import flush as flushing
from hibernate.flush import flush, without_block_device
from hibernate.signals import signals_held_back
from linux import filesystem
from linux.mounts import Mount, MountTable

NFS = Mount(30, "0:44", "/net", "nfs4", "server:/x")
PROC = Mount(31, "0:5", "/proc", "proc", "proc")
DISK = Mount(32, "8:1", "/", "ext4", "/dev/sda1")
NTFS = Mount(34, "8:2", "/ntfs", "fuseblk", "/dev/sda2")
AUTOFS = Mount(33, "0:60", "/home", "autofs", "auto.home")


def test_autofs_is_not_looked_at() -> None:
    """To open one is to have it mounted, by a process that may be frozen."""
    table = MountTable([DISK, NFS, AUTOFS, PROC, NFS, NTFS])
    assert without_block_device(table) == [[NFS, NFS], [PROC], [NTFS]]


def test_file_system_that_hangs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hung = tmp_path / "hung"
    (tmp_path / "fine").mkdir()
    hung.mkdir()

    def sync(fd: int) -> None:
        if Path(os.readlink(f"/proc/self/fd/{fd}")) == hung:
            time.sleep(60)

    monkeypatch.setattr(filesystem, "sync_file_system", sync)
    monkeypatch.setattr(flushing, "LIMIT", 0.2)
    monkeypatch.setattr(flushing, "unwritten", lambda: 0)
    monkeypatch.setattr(os, "sync", lambda: None)
    fine = Mount(1, "0:50", str(tmp_path / "fine"), "fuse.x", "x")
    mounts = [DISK, fine, Mount(2, "0:51", str(hung), "nfs", "server:/x")]
    with pytest.raises(KernelRefusedError, match=rf"^{hung}: .* cannot be written"):
        flush(MountTable(mounts))
    flush(MountTable(mounts[:2]))
    monkeypatch.setattr(os, "sync", lambda: time.sleep(60))
    with pytest.raises(KernelRefusedError, match=r"^the disks: "):
        flush(MountTable(mounts[:2]))


def test_slow_disk_that_gets_on_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    left = list(range(1000, 0, -1))
    monkeypatch.setattr(flushing, "LIMIT", 0.1)
    monkeypatch.setattr(flushing, "unwritten", lambda: left.pop(0))
    monkeypatch.setattr(os, "sync", lambda: time.sleep(0.6))
    flush(MountTable([]))


def test_hung_sync_holds_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the watchdog would not see the writer's end, nor the next run get /dev/snapshot."""
    read_end, write_end = os.pipe()
    monkeypatch.setattr(os, "sync", lambda: time.sleep(3))
    monkeypatch.setattr(os, "kill", lambda *_: None)  # as for one that waits for a device
    monkeypatch.setattr(flushing, "LIMIT", 0.3)
    monkeypatch.setattr(flushing, "unwritten", lambda: 0)
    started = time.monotonic()
    writer = os.fork()
    if writer == 0:
        with contextlib.suppress(KernelRefusedError):
            flush(MountTable([]))
        os._exit(0)
    os.close(write_end)
    os.waitpid(writer, 0)
    assert os.read(read_end, 1) == b""
    assert time.monotonic() - started < 2.5
    os.close(read_end)


def test_control_c_ends_the_waiting_for_the_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sync", lambda: time.sleep(60))

    def terminated() -> None:
        with signals_held_back():
            os.kill(os.getpid(), signal.SIGTERM)
            flush(MountTable([]))

    with pytest.raises(AbortedError, match="SIGTERM"):
        terminated()
