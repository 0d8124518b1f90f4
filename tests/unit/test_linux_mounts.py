"""Which devices lie below a mount, which mount is above a path, and what holds a device."""

import os
from pathlib import Path

import pytest

from linux import stack
from linux.mounts import Mount, open_mount, read_mounts
from tests.unit.fake_disks import Disks

SDA, SDB, SDC, LOOP = "8:0", "8:1", "8:2", "8:3"


@pytest.fixture
def disks(tmp_path: Path) -> Disks:
    made = Disks(tmp_path)
    for name in ("sda", "cciss!c0d1", "sdc", "loop12p3"):
        made.add(name)
    made.btrfs("1-2", "sda", "cciss!c0d1")
    made.btrfs("3-4", "sdc")
    (tmp_path / "sys/fs/btrfs/features").mkdir()
    return made


def mount(device: str, fs_type: str, source: str, root: str = "/") -> Mount:
    return Mount(1, device, "/mnt", fs_type, source, root)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (mount("8:0", "ext4", "/dev/root"), [SDA]),
        (mount("8:0", "ext4", "/dev/sdc", "/folder"), [SDA]),
        (mount("8:33", "vfat", "/dev/gone"), ["8:33"]),
        (mount("8:2", "fuseblk", "/dev/sdc"), [SDC]),
        (mount("0:40", "btrfs", "/dev/sda", "/@home"), [SDB, SDA]),
        (mount("0:41", "btrfs", "/dev/cciss/c0d1"), [SDB, SDA]),
        (mount("0:42", "btrfs", "/dev/root"), [SDB, SDA, SDC]),
        (mount("0:43", "bcachefs", "/dev/sda:/dev/sdc"), [SDA, SDC]),
        (mount("0:43", "bcachefs", "/dev/sda:/dev/gone"), [SDA]),
        (mount("0:43", "bcachefs", "sda"), []),
        (mount("0:44", "tmpfs", "/dev/sda"), []),
        (mount("0:45", "overlay", "/dev/sda"), []),
        (mount("0:46", "zfs", "tank/home"), []),
        (mount("0:47", "fuse.sshfs", "host:/dev/sda"), []),
        (mount("0:48", "nfs4", "server:/dev/sda"), []),
    ],
)
def test_devices_below(disks: Disks, found: Mount, expected: list[str]) -> None:
    table = disks.table(found)
    assert table.devices_below(found) == expected
    assert table.is_on_device(found) or not expected
    assert found.is_served == found.fs_type.startswith("fuse")


def test_layers_are_those_of_all_devices(disks: Disks) -> None:
    disks.add("dm-0", dm=("vg-a", "LVM-x"))
    disks.stack("dm-0", "loop12p3")
    disks.hold("loop12", "/srv/disk image\t")
    found = mount("0:43", "bcachefs", "/dev/sda:/dev/dm-0")
    assert disks.table(found).layers_below(found) == [
        stack.Layer("sda", "", ""),
        stack.Layer("dm-0", "vg-a", "LVM-x"),
        stack.Layer("loop12p3", "", "", file="/srv/disk image\t"),
    ]
    assert disks.table(found).layers_below(mount("8:33", "ext4", "/dev/gone")) == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", 1),
        ("/file", 1),
        ("/srv", 3),
        ("/srv/", 3),
        ("/srv/a/file", 3),
        ("/srv/a/b/file", 4),
        ("/srvx", 1),
        ("/a/b", 1),
        ("srv", None),
        ("pipe:[5]", None),
        ("", None),
    ],
)
def test_mount_above(disks: Disks, path: str, expected: int | None) -> None:
    """Of several at one place the last one, which hides the others."""
    points = ["/", "/srv", "/srv", "/srv/a/b"]
    mounts = [Mount(number, "8:0", point, "x", "") for number, point in enumerate(points, 1)]
    found = disks.table(*mounts).mount_above(path)
    assert (found.mount_id if found else None) == expected
    assert disks.table(*mounts[1:]).mount_above("/file") is None


def test_a_hidden_mount_is_not_opened() -> None:
    found = next(mount for mount in read_mounts() if mount.mount_point == "/proc")
    os.close(open_mount(found, os.O_DIRECTORY))
    with pytest.raises(OSError, match="hidden by another mount"):
        open_mount(Mount(1 << 30, found.device, "/proc", "proc", "proc"), os.O_DIRECTORY)


def test_a_system_that_does_not_say_what_is_mounted(tmp_path: Path) -> None:
    assert read_mounts(Disks(tmp_path)) == []
    assert len(read_mounts()) > 1
