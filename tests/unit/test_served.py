"""File systems whose device a process serves are refused: to freeze them would never end."""

from pathlib import Path

import pytest

from errors import KernelRefusedError
from hibernate.served import refuse_served
from linux.mounts import Mount
from linux.root import HOST

ROOT = Mount(1, "8:1", "/", "ext4", "/dev/sda1")
DATA = Mount(2, "8:17", "/data", "ext4", "/dev/sdb1")
NTFS = Mount(3, "8:33", "/ntfs", "fuseblk", "/dev/sdc1")


class Sys:
    """A /sys with block devices in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def device(self, number: str, name: str, file: str = "", below: str = "") -> None:
        device = self.folder / "class/block" / name
        device.mkdir(parents=True)
        if below:
            (device / "slaves" / below).mkdir(parents=True)
        if file:
            (device / "loop").mkdir()
            (device / "loop/backing_file").write_text(f"{file}\n")
        (self.folder / "dev/block").mkdir(parents=True, exist_ok=True)
        (self.folder / "dev/block" / number).symlink_to(device)


@pytest.fixture
def sys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sys:
    monkeypatch.setattr(HOST, "root", str(tmp_path))
    made = Sys(tmp_path / "sys")
    made.device("8:1", "sda1")
    made.device("8:17", "sdb1")
    return made


@pytest.mark.parametrize("name", ["ublkb0", "nbd3", "nbd3p1"])
def test_served_devices_are_refused_below_other_layers_too(sys: Sys, name: str) -> None:
    sys.device("43:3", name)
    sys.device("253:0", "dm-0", below=name)
    for number in ("43:3", "253:0"):
        mount = Mount(9, number, "/mnt", "ext4", "/dev/x")
        with pytest.raises(KernelRefusedError, match=f"/mnt lies on /dev/{name}") as caught:
            refuse_served([[ROOT], [mount]], [ROOT, mount])
        assert "umount /mnt" in caught.value.hint


def test_file_on_a_file_system_in_user_space_is_refused(sys: Sys) -> None:
    sys.device("7:0", "loop0", "/ntfs/disk.img")
    sys.device("7:1", "loop1", "/data/disk.img")
    first = Mount(9, "7:0", "/mnt", "ext4", "/dev/loop0")
    second = Mount(10, "7:1", "/other", "ext4", "/dev/loop1")
    mounts = [ROOT, DATA, NTFS, first, second]
    refuse_served([[ROOT], [DATA], [second]], mounts)
    with pytest.raises(KernelRefusedError, match=r"/mnt lies on /ntfs/disk\.img, served by"):
        refuse_served([[ROOT], [DATA], [second], [first]], mounts)


def test_of_two_mounts_at_one_place_the_last_one_counts(sys: Sys) -> None:
    sys.device("7:0", "loop0", "/ntfs/disk.img")
    image = Mount(9, "7:0", "/mnt", "ext4", "/dev/loop0")
    over = Mount(10, "8:17", "/ntfs", "ext4", "/dev/sdb1")
    refuse_served([[image]], [ROOT, NTFS, over, image])
    with pytest.raises(KernelRefusedError):
        refuse_served([[image]], [ROOT, over, NTFS, image])
