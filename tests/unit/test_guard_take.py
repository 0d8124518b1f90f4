"""What is mounted, and which devices it lies on."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from errors import DeviceNotFoundError, UnreadableError
from format.tables import GuardEntry, Method
from guard.device import PIECE, Device, new_buffer
from guard.take import Guarded
from linux import block
from linux.mounts import Mount
from tests.premises.volumes import skip_unless_mountable
from tests.unit.fake_root import UUID_1, UUID_2, Disks, ext
from vm.host import run


@pytest.fixture
def disks(tmp_path: Path) -> Disks:
    return Disks(tmp_path)


def mount(device: str, place: str, fs_type: str = "ext4", source: str = "none") -> Mount:
    return Mount(1, device, place, fs_type, source)


def taken(disks: Disks, *mounts: Mount) -> tuple[list[GuardEntry], list[str]]:
    with Guarded() as guarded:
        guarded.open_all(disks.table(*mounts))
        return list(guarded.entries()), guarded.notes


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
        (before,) = guarded.entries()
        disks.add("sda", ext(mounts=8))
        (after,) = guarded.entries()
    assert before.fingerprint != after.fingerprint


@pytest.mark.parametrize("below", ["loop0", "zram1", "ram0"])
def test_files_and_memory_are_left_out(below: str, disks: Disks) -> None:
    disks.add("dm-0", ext(), ("secret", "CRYPT-LUKS2-abc"))
    disks.stack("dm-0", below)
    assert taken(disks, mount("8:0", "/mnt")) == ([], [])


def test_other_types_are_sampled_with_a_note(disks: Disks) -> None:
    path = disks.add("sda", ext())
    entries, notes = taken(disks, mount("8:0", "/mnt", "ntfs3"))
    assert [(e.method, e.identity) for e in entries] == [(Method.SAMPLE, bytes(16))]
    assert notes == [f"ntfs3 on {path}, mounted at /mnt: only a sample of it can be compared"]


def test_a_superblock_that_is_not_its_types_is_sampled(disks: Disks) -> None:
    disks.add("sda", ext())
    entries, notes = taken(disks, mount("8:0", "/mnt", "xfs"))
    assert [e.method for e in entries] == [Method.SAMPLE]
    assert len(notes) == 1


def test_all_devices_of_a_btrfs(disks: Disks) -> None:
    paths = [disks.add(name, ext()) for name in ("sda", "cciss!c0d1", "sdc")]
    disks.btrfs("1-2", "sda", "cciss!c0d1")
    disks.btrfs("3-4", "sdc")
    (disks.folder / "sys/fs/btrfs/features").mkdir()
    one, other = mount("0:30", "/", "btrfs", paths[0]), mount("0:31", "/home", "btrfs", paths[1])
    assert [(e.device, e.mount_point) for e in taken(disks, one, other)[0]] == [
        ("/dev/cciss/c0d1", "/"),
        ("/dev/sda", "/"),
    ]
    assert len(taken(disks, mount("0:30", "/", "btrfs", "/dev/root"))[0]) == 3


def test_btrfs_whose_devices_nobody_knows(disks: Disks) -> None:
    with pytest.raises(DeviceNotFoundError, match="the devices of the btrfs at /mnt"):
        taken(disks, mount("0:30", "/mnt", "btrfs", "/dev/root"))


def test_a_disk_that_was_pulled_out(disks: Disks) -> None:
    pulled, unknown = mount("8:9", "/media/stick"), mount("0:40", "/b", "bcachefs", "/dev/x")
    assert taken(disks, pulled, unknown) == (
        [],
        [
            "the device of /media/stick is gone: nothing to compare",
            "the device of /b is not known: nothing to compare",
        ],
    )


def test_a_disk_without_a_node(disks: Disks) -> None:
    os.unlink(disks.path(disks.add("sda")))
    with pytest.raises(DeviceNotFoundError, match="device 8:0, mounted at /mnt, has no node"):
        taken(disks, mount("8:0", "/mnt"))


def test_a_disk_that_cannot_be_opened(disks: Disks, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_path: str, _flags: int) -> int:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    path = disks.add("sda", ext())
    monkeypatch.setattr(block, "open_direct", fail)
    with pytest.raises(
        UnreadableError, match=f"cannot open {path}, mounted at /mnt: operation not"
    ):
        taken(disks, mount("8:0", "/mnt"))


@pytest.fixture
def loop_device(tmp_path: Path) -> Iterator[tuple[str, bytes]]:
    """A device whose end is not a page's."""
    skip_unless_mountable("ext4")
    data = b"".join(bytes([number % 251]) * 512 for number in range(2 * PIECE // 512 + 3))
    (tmp_path / "disk").write_bytes(data)
    device = run("losetup", "--find", "--show", tmp_path / "disk").strip()
    yield device, data
    run("losetup", "--detach", device)


def test_reading_past_the_page_cache(loop_device: tuple[str, bytes], tmp_path: Path) -> None:
    path, data = loop_device
    with Device(path, new_buffer()) as device, open(path, "rb") as cached:
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
        assert not device.is_lasting
