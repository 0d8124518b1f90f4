"""Which file systems are to stop, and in which order; those that a process serves are refused."""

from pathlib import Path

import pytest

from errors import KernelRefusedError
from hibernate import filesystems
from hibernate.filesystems import every_mount, refuse_served, to_freeze
from linux import tasks
from linux.mounts import Mount
from tests.unit.fake_root import Disks

ROOT = Mount(1, "8:0", "/", "ext4", "/dev/sda1")
DATA = Mount(2, "8:1", "/data", "ext4", "/dev/sdb1")
BTRFS = Mount(3, "0:40", "/srv", "btrfs", "/dev/sdc")
NTFS = Mount(4, "8:3", "/ntfs", "fuseblk", "/dev/sdd1")
TMPFS = Mount(5, "0:5", "/tmp", "tmpfs", "/dev/sda1")
NFS = Mount(6, "0:44", "/net", "nfs4", "server:/x")
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
    found = to_freeze(disks.table(ROOT, TMPFS, BTRFS, again, NTFS, DATA, NFS))
    assert found == [[DATA], [BTRFS], [ROOT, again]]


def test_one_that_lies_in_a_file_stops_before_the_one_that_holds_it(disks: Disks) -> None:
    """Also if it is listed before, as in a copied mount namespace."""
    disks.hold("loop0", "/srv/image")
    disks.hold("loop1", "/mnt/inner image")
    for mounts in ([ROOT, LOOP, OTHER, BTRFS, DATA], [OTHER, LOOP, ROOT, BTRFS, DATA]):
        stopped = to_freeze(disks.table(*mounts))
        assert stopped.index([OTHER]) < stopped.index([LOOP]) < stopped.index([BTRFS])
    assert to_freeze(disks.table(ROOT, BTRFS, DATA)) == [[DATA], [BTRFS], [ROOT]]


def test_one_that_hides_its_own_file(disks: Disks) -> None:
    disks.hold("loop0", "/mnt/image")
    assert to_freeze(disks.table(LOOP, ROOT)) == [[LOOP], [ROOT]]


def test_mounts_of_other_namespaces_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    spaces = {None: "mnt:[1]", 2: "mnt:[1]", 30: "mnt:[2]", 31: "mnt:[2]", 40: "gone"}

    def mount_namespace(pid: int | None = None) -> str:
        if pid == 40:
            raise ProcessLookupError
        return spaces[pid]

    monkeypatch.setattr(tasks, "pids", lambda: [2, 30, 31, 40])
    monkeypatch.setattr(tasks, "mount_namespace", mount_namespace)
    monkeypatch.setattr(filesystems, "mounts_of", lambda pid: [ROOT, NFS] if pid == 30 else [ROOT])
    assert [mount.mount_point for mount in every_mount()] == [
        "/",
        "/proc/30/root/",
        "/proc/30/root/net",
    ]


@pytest.mark.parametrize("name", ["ublkb0", "nbd3", "nbd3p1"])
def test_served_devices_are_refused_below_other_layers_too(disks: Disks, name: str) -> None:
    disks.add(name)
    disks.add("dm-1")
    disks.stack("dm-1", name)
    for number in ("8:7", "8:8"):
        mount = Mount(9, number, "/mnt", "ext4", "/dev/x")
        with pytest.raises(KernelRefusedError, match=f"/mnt lies on /dev/{name}") as caught:
            refuse_served([[ROOT], [mount]], disks.table(ROOT, mount))
        assert "umount /mnt" in caught.value.hint


def test_a_file_on_a_file_system_in_user_space_is_refused(disks: Disks) -> None:
    disks.hold("loop0", "/ntfs/disk.img")
    disks.hold("loop1", "/data/disk.img")
    table = disks.table(ROOT, DATA, NTFS, LOOP, OTHER)
    refuse_served([[ROOT], [DATA], [OTHER]], table)
    with pytest.raises(KernelRefusedError, match=r"/mnt lies on /ntfs/disk\.img, served by"):
        refuse_served([[ROOT], [DATA], [OTHER], [LOOP]], table)


def test_of_two_mounts_at_one_place_the_last_one_counts(disks: Disks) -> None:
    disks.hold("loop0", "/ntfs/disk.img")
    over = Mount(10, "8:1", "/ntfs", "ext4", "/dev/sdb1")
    refuse_served([[LOOP]], disks.table(ROOT, NTFS, over, LOOP))
    with pytest.raises(KernelRefusedError):
        refuse_served([[LOOP]], disks.table(ROOT, over, NTFS, LOOP))
