"""Who holds a device, as the kernel tells it: on loop devices, with no other in sight."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from errors import KernelRefusedError
from hibernate import unlisted
from hibernate.filesystems import every_mount
from hibernate.unlisted import refuse_unlisted
from linux import stack
from linux.mounts import MountTable
from linux.root import Root
from tests.premises.volumes import (
    loop_device,
    make_volume,
    mounted,
    own_mounts,
    skip_unless_mountable,
)
from tests.sources import opened
from vm.host import run


class Ours(Root):
    """This machine, without the block devices that are not ours."""

    def __init__(self, *devices: str) -> None:
        super().__init__()
        self._names = tuple(map(os.path.basename, devices))

    def names(self, folder: str) -> list[str]:
        found = super().names(folder)
        is_class = folder == "/sys/class/block"
        return [name for name in found if not is_class or name.startswith(self._names)]


def refusal(*devices: str, store: str = "") -> str:
    """Return what is said of a hibernation with these loop devices, "" if it is not refused."""
    table = MountTable(every_mount(), Ours(*devices))
    try:
        refuse_unlisted(table, store)
    except KernelRefusedError as error:
        return str(error)
    return ""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unlisted, "_MOMENT", 0)


@contextmanager
def with_part(device: str) -> Iterator[str]:
    """Have the kernel know one partition."""
    run("addpart", device, "1", "2048", "4096")
    try:
        yield f"{device}p1"
    finally:
        run("delpart", device, "1")


def test_a_file_system_on_all_of_a_disk_with_a_partition(tmp_path: Path) -> None:
    """And the other way round; unmounted lazily, each is named."""
    skip_unless_mountable("ext4")
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(64 << 20))
    with own_mounts(), loop_device(disk) as device, with_part(device) as partition:
        for used in (partition, device):
            run("mkfs.ext4", "-q", "-F", used)
            with mounted(used, tmp_path / "mnt", "ext4") as place:
                assert refusal(device) == ""
                with (place / "file").open("w"):
                    run("umount", "--lazy", place)
                    said = f"{used} is in use, but its ext4 is mounted where nobody sees it"
                    assert refusal(device) == said
                    run("mount", used, place)


def test_a_store_on_all_of_a_disk_with_a_partition(tmp_path: Path) -> None:
    skip_unless_mountable("ext4")
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(4 << 20))
    with loop_device(disk) as device, with_part(device) as partition:
        with opened(device, os.O_RDWR | os.O_EXCL):
            assert refusal(device, store=device) == ""
            assert refusal(device).startswith(f"{partition} is in use")
        assert refusal(device) == ""


def test_a_btrfs_whose_seed_is_another_device(tmp_path: Path) -> None:
    """And whose source is no node any more: what is below it is known, and no other one is."""
    skip_unless_mountable("btrfs")
    seed, other = (make_volume(tmp_path / name, "btrfs") for name in ("seed", "other"))
    (tmp_path / "sprout").write_bytes(bytes(128 << 20))
    run("btrfstune", "-S", "1", seed.path)
    with (
        own_mounts(),
        loop_device(seed.path) as below,
        loop_device(tmp_path / "sprout") as above,
        loop_device(other.path) as third,
    ):
        node = tmp_path / "node"
        os.mknod(node, 0o600 | stat.S_IFBLK, os.stat(third).st_rdev)
        with (
            mounted(below, tmp_path / "mnt", "btrfs", "ro") as place,
            mounted(str(node), tmp_path / "third", "btrfs"),
        ):
            run("btrfs", "device", "add", "-f", above, place)
            run("mount", "-o", "remount,rw", place)
            assert refusal(below, above, third) == ""
            node.unlink()
            assert refusal(below, above, third) == ""
            table = MountTable(every_mount())
            for path, devices in ((place, (below, above)), (tmp_path / "third", (third,))):
                (mount,) = (each for each in table.mounts if each.mount_point == str(path))
                numbers = sorted(map(str, map(table.root.device_number, devices)))
                assert sorted(table.devices_below(mount)) == numbers
            with (place / "file").open("w"):
                run("umount", "--lazy", place)
                assert "its btrfs is mounted where nobody" in refusal(below, above, third)
                run("mount", above, place)


def test_who_has_a_device_open_for_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By any node; whoever only reads writes nothing."""
    skip_unless_mountable("ext4")
    monkeypatch.setattr(stack, "is_lasting", lambda *_: True)  # a loop device of a file is not
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(4 << 20))
    said = f"(process {os.getpid()}) has /dev/{{}} open for writing"
    with loop_device(disk) as device, with_part(device) as partition:
        node = tmp_path / "node"
        os.mknod(node, 0o600 | stat.S_IFBLK, os.stat(partition).st_rdev)
        with opened(device, os.O_RDONLY), opened(disk, os.O_RDWR):
            assert refusal(device) == ""
        for path, flags in ((device, os.O_WRONLY), (partition, os.O_RDWR), (device, os.O_RDWR)):
            with opened(path, flags):
                assert said.format(os.path.basename(path)) in refusal(device)
        with opened(node, os.O_RDWR):
            node.unlink()
            assert said.format(os.path.basename(partition)) in refusal(device)
            assert refusal(device, store=partition) == ""
