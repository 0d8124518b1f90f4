"""What is mounted, on which devices: what the guard takes of it, and what it refuses."""

import errno
import os
from collections.abc import Collection
from pathlib import Path

import pytest

from errors import ChangedError, DeviceNotFoundError, KernelRefusedError, UnreadableError
from format.tables import GuardEntry, Method
from guard import ntfs
from guard.compare import compare
from guard.device import PIECE, Device, new_buffer
from guard.take import Guarded
from linux import block, stack
from linux.mounts import Mount
from tests.premises.volumes import loop_device, skip_unless_mountable
from tests.tools import failing
from tests.unit.fake_root import UUID_1, UUID_2, Disks, bcachefs, btrfs, ext
from tests.unit.fake_volumes import Memory, ntfs_image, ntfs_record, ntfs_runs, xfs_image


@pytest.fixture
def disks(tmp_path: Path) -> Disks:
    return Disks(tmp_path)


def mount(device: str, place: str, fs_type: str = "ext4", source: str = "none") -> Mount:
    return Mount(1, device, place, fs_type, source)


def silent() -> None:
    """Hear of progress."""


def taken(
    disks: Disks, *mounts: Mount, unguarded: Collection[str] = ()
) -> tuple[list[GuardEntry], list[str]]:
    with Guarded(unguarded) as guarded:
        guarded.open_all(disks.table(*mounts))
        return list(guarded.entries(silent)), guarded.notes


def test_each_device_once(disks: Disks) -> None:
    root = disks.add("sda", ext())
    disks.add("sdb", ext(UUID_2), ("vg-home", "LVM-abc"))
    entries, notes = taken(
        disks,
        mount("0:22", "/proc", "proc", "proc"),
        mount("8:0", "/"),
        mount("8:1", "/home", "ext3"),
        mount("8:0", "/var/bound"),
        mount("0:23", "/tmp", "tmpfs", "tmpfs"),
    )
    assert notes == []
    assert [
        (e.method, e.identity, e.device_size, e.file_system, e.device, e.device_identity)
        for e in entries
    ] == [
        (Method.EXT, UUID_1, 8192, "ext4", root, ""),
        (Method.EXT, UUID_2, 8192, "ext3", "/dev/mapper/vg-home", "LVM-abc"),
    ]
    assert [e.mount_point for e in entries] == ["/", "/home"]


def test_fingerprints_are_taken_when_all_is_frozen(disks: Disks) -> None:
    disks.add("sda", ext())
    with Guarded() as guarded:
        guarded.open_all(disks.table(mount("8:0", "/")))
        (before,) = guarded.entries(silent)
        disks.add("sda", ext(mounts=8))
        (after,) = guarded.entries(silent)
    assert before.fingerprint != after.fingerprint


@pytest.mark.parametrize("below", ["loop0", "zram1", "ram0"])
def test_files_and_memory_are_left_out(below: str, disks: Disks) -> None:
    disks.add("dm-0", ext(), ("secret", "CRYPT-LUKS2-abc"))
    disks.stack("dm-0", below)
    assert taken(disks, mount("8:0", "/mnt")) == ([], [])


SAMPLED = ["ntfs3", "fuseblk", "fuseblk.some", "jfs", "hfsplus", "f2fs", "btrfs", "xfs", "vfat"]
"""Types that are none of ours, and a superblock that is not its type's."""


@pytest.mark.parametrize("fs_type", SAMPLED)
def test_a_writable_one_of_which_there_is_only_a_sample_is_refused(
    fs_type: str, disks: Disks
) -> None:
    path = disks.add("sda", ext())
    sampled = Mount(1, "8:0", "/my disk", fs_type, path, options="rw,errors=ro")
    with pytest.raises(KernelRefusedError, match=f"^{fs_type} on {path}, mounted at /my d") as said:
        taken(disks, sampled)
    assert "umount '/my disk'" in said.value.hint
    assert f"unguarded-file-systems = {fs_type} in /etc/torpor.conf" in said.value.hint


@pytest.mark.parametrize("fs_type", SAMPLED)
def test_a_sample_will_do_where_it_is_allowed_or_nothing_is_written(
    fs_type: str, disks: Disks
) -> None:
    """With a note where it is only allowed."""
    path = disks.add("sda", ext())
    expected = [(Method.SAMPLE, bytes(16))]
    entries, notes = taken(disks, Mount(1, "8:0", "/mnt", fs_type, path, options="ro,errors=rw"))
    assert [(e.method, e.identity) for e in entries] == expected
    assert notes == []
    entries, notes = taken(disks, mount("8:0", "/mnt", fs_type), unguarded=("udf", fs_type))
    assert [(e.method, e.identity) for e in entries] == expected
    assert notes == [f"{fs_type} on {path}, mounted at /mnt: only a sample of it can be compared"]


@pytest.mark.parametrize("name", ["logdev", "rtdev"])
def test_a_part_of_xfs_that_nobody_finds(name: str, disks: Disks) -> None:
    """Its path may be that of another namespace."""
    disks.add("sda", bytes(xfs_image(100, 5)))
    with pytest.raises(DeviceNotFoundError, match="/dev/mine, a part of the xfs at /mnt, is"):
        taken(disks, Mount(1, "8:0", "/mnt", "xfs", "/dev/sda", options=f"rw,{name}=/dev/mine"))


def test_a_realtime_device_is_sampled(disks: Disks) -> None:
    """What is written there shows in the log."""
    disks.add("sda", bytes(xfs_image(100, 5)))
    realtime = disks.add("sdb", b"data" * 2048)
    options = f"rw,rtdev={realtime}"
    entries, notes = taken(disks, Mount(1, "8:0", "/mnt", "xfs", "/dev/sda", options=options))
    assert [e.method for e in entries] == [Method.XFS, Method.SAMPLE]
    assert notes == []


def test_all_devices_of_a_btrfs(disks: Disks) -> None:
    paths = [disks.add(name, btrfs()) for name in ("sda", "cciss!c0d1", "sdc")]
    disks.btrfs("1-2", "sda", "cciss!c0d1")
    disks.btrfs("3-4", "sdc")
    (disks.folder / "sys/fs/btrfs/features").mkdir()
    one, other = mount("0:30", "/", "btrfs", paths[0]), mount("0:31", "/home", "btrfs", paths[1])
    assert [(e.device, e.mount_point) for e in taken(disks, one, other)[0]] == [
        ("/dev/cciss/c0d1", "/"),
        ("/dev/sda", "/"),
    ]
    assert len(taken(disks, mount("0:30", "/", "btrfs", "/dev/root"))[0]) == 3


@pytest.mark.parametrize("number", ["0:30", "8:0"])
def test_all_devices_of_a_bcachefs(number: str, disks: Disks) -> None:
    """Alike but for their numbers: one of them does not stand in for another."""
    paths = [disks.add(f"sd{nth}", bcachefs(member=nth)) for nth in range(3)]
    member = mount(number, "/mnt", "bcachefs", ":".join(paths))
    entries, notes = taken(disks, member)
    assert notes == []
    assert [(e.method, e.device) for e in entries] == [(Method.BCACHEFS, path) for path in paths]
    compare(entries, lambda: False, disks)
    disks.add("sd1", bcachefs(member=1)[:-1] + b"x")
    with pytest.raises(ChangedError, match=f"the bcachefs of /mnt, on {paths[1]}, has changed"):
        compare(entries, lambda: False, disks)


def test_btrfs_whose_devices_nobody_knows(disks: Disks) -> None:
    with pytest.raises(DeviceNotFoundError, match="the devices of the btrfs at /mnt"):
        taken(disks, mount("0:30", "/mnt", "btrfs", "/dev/root"))


def test_what_a_process_wrote_is_on_the_disk_first(
    disks: Disks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a device whose file system it serves: it writes to the device's page cache."""
    before, after = (ntfs_image(ntfs_record(ntfs_runs((4, count)))) for count in (8, 9))
    disks.add("sda", bytes(before))
    disks.add("sdb", ext())
    monkeypatch.setattr(os, "fsync", lambda _fd: disks.add("sda", bytes(after)))
    with Guarded() as guarded:
        guarded.open_all(disks.table(mount("8:1", "/"), mount("8:0", "/win", "fuseblk")))
        _, entry = guarded.entries(silent)
    assert (entry.method, entry.identity) == (Method.NTFS, b"SERIAL#1".ljust(16, b"\0"))
    assert entry.fingerprint == ntfs.fingerprint(Memory(after).read, len(after))


def test_each_read_is_progress(disks: Disks) -> None:
    """A file table of many pieces takes a slow disk minutes; whoever asks to stop need not wait."""
    pieces = [(4, 9), *((100 + 2 * nth, 1) for nth in range(20))]
    disks.add("sda", bytes(ntfs_image(ntfs_record(ntfs_runs(*pieces)))))
    told = 0

    def progress() -> None:
        nonlocal told
        told += 1
        if told == 15:
            raise InterruptedError

    with Guarded() as guarded:
        guarded.open_all(disks.table(mount("8:0", "/win", "ntfs3")))
        with pytest.raises(InterruptedError):
            list(guarded.entries(progress))
        assert told == 15
        assert len(list(guarded.entries(progress))) == 1
        assert told > 15 + len(pieces)


def test_a_disk_that_was_pulled_out(disks: Disks) -> None:
    pulled, unknown = mount("8:9", "/media/stick"), mount("0:40", "/b", "bcachefs", "/dev/x")
    entries, notes = taken(disks, pulled, unknown)
    assert entries == []
    assert notes == [
        "the device of /media/stick is gone: nothing to compare",
        "the device of /b is not known: nothing to compare",
    ]


def test_a_disk_without_a_node(disks: Disks) -> None:
    os.unlink(disks.path(disks.add("sda")))
    with pytest.raises(DeviceNotFoundError, match="device 8:0, mounted at /mnt, has no node"):
        taken(disks, mount("8:0", "/mnt"))


def test_a_disk_that_cannot_be_opened(disks: Disks, monkeypatch: pytest.MonkeyPatch) -> None:
    path = disks.add("sda", ext())
    error = PermissionError(errno.EPERM, "Operation not permitted")
    monkeypatch.setattr(block, "open_direct", failing(error))
    said = f"cannot open {path}, mounted at /mnt: operation not"
    with pytest.raises(UnreadableError, match=said):
        taken(disks, mount("8:0", "/mnt"))


def test_reading_past_the_page_cache(tmp_path: Path) -> None:
    """Of a device whose end is not a page's."""
    skip_unless_mountable("ext4")
    data = b"".join(bytes([number % 251]) * 512 for number in range(2 * PIECE // 512 + 3))
    (tmp_path / "disk").write_bytes(data)
    with (
        loop_device(tmp_path / "disk") as path,
        Device(path, new_buffer()) as device,
        open(path, "rb") as cached,
    ):
        assert (cached.read(), device.size) == (data, len(data))
        end = len(data)
        for offset, size in ((0, 1), (510, 4), (4095, PIECE), (1024, 1024), (end - 700, 600)):
            assert device.read(offset, size) == data[offset : offset + size]
        assert device.read(end - 5, 4096) == data[-5:]
        for offset in (end, end + 1, 1 << 70):
            assert device.read(offset, 10) == b""
        with (tmp_path / "disk").open("r+b") as file:
            file.write(b"\xff" * 512)
        cached.seek(0)
        assert cached.read(512) == data[:512]
        assert device.read(0, 512) == b"\xff" * 512
        assert not stack.is_lasting(device.number)
