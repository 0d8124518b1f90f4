"""Devices in use by what no list of mounts names."""

import errno
import os
import time
from pathlib import Path

import pytest

from errors import KernelRefusedError
from hibernate.unlisted import refuse_unlisted
from linux import block
from linux.mounts import Mount
from tests.tools import put
from tests.unit.fake_root import Disks

SYSFS = "sys/class/block"
ROOT = Mount(1, "8:1", "/", "ext4", "/dev/sda1")
SWAP = "Filename Type Size Used Priority\n/dev/sda2 partition 100 0 -2\n"


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of the devices that something holds: those of a machine as most are."""
    names = {"sda", "sda1", "sda2", "sdb"}

    def claim(path: str, flags: int) -> int:
        if Path(path).name in names:
            raise OSError(errno.EBUSY, "Device or resource busy")
        return os.open(path, flags)

    monkeypatch.setattr(block, "claim", claim)
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    return names


@pytest.fixture
def disks(tmp_path: Path, held: set[str]) -> Disks:
    """A disk with a root and swap, one that is the store, one below dm-0, and a free one."""
    del held
    made = Disks(tmp_path)
    for name in ("sda", "sda1", "sda2", "sdb", "sdc", "dm-0", "sdd"):
        made.add(name)
    for name in ("sda1", "sda2"):
        made.partition(name, "sda", 2048)
        put(tmp_path, {f"{SYSFS}/{name}/partition": name[-1]})
    made.stack("dm-0", "sdc")
    put(tmp_path, {"proc/swaps": SWAP})
    return made


def test_all_that_is_in_use_is_listed(disks: Disks, held: set[str]) -> None:
    held |= {"sdc", "dm-0"}
    refuse_unlisted(disks.table(ROOT, Mount(2, "8:5", "/home", "xfs", "/dev/mapper/x")), "/dev/sdb")
    put(disks.folder, {f"{SYSFS}/sdd/ro": "1\n"})
    held.add("sdd")
    refuse_unlisted(disks.table(ROOT, Mount(2, "8:5", "/home", "xfs", "/dev/mapper/x")), "/dev/sdb")


@pytest.mark.parametrize("name", ["sdd", "dm-0", "sda1"])
def test_what_is_mounted_nowhere_is_named(name: str, disks: Disks, held: set[str]) -> None:
    """A whole disk, a volume, and a partition of a disk with others."""
    held.add(name)
    mounts = [] if name == "sda1" else [ROOT]
    with pytest.raises(KernelRefusedError, match=f"/dev/{name} is in use, but what is on it is"):
        refuse_unlisted(disks.table(*mounts), "/dev/sdb")
    (disks.folder / f"sys/fs/f2fs/{name}").mkdir(parents=True)
    with pytest.raises(KernelRefusedError, match=f"/dev/{name} is in use, but its f2fs is mounted"):
        refuse_unlisted(disks.table(*mounts), "/dev/sdb")


def test_a_program_may_look_at_a_device(
    disks: Disks, held: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    held.add("sdd")
    monkeypatch.setattr(time, "sleep", lambda _seconds: held.discard("sdd"))
    refuse_unlisted(disks.table(ROOT), "/dev/sdb")


def test_a_disk_whose_partition_is_a_layer_s_is_no_surprise(disks: Disks, held: set[str]) -> None:
    held.add("sdd")
    disks.add("sdd1")
    disks.partition("sdd1", "sdd", 2048)
    put(disks.folder, {f"{SYSFS}/sdd1/partition": "1"})
    disks.stack("dm-0", "sdd1")
    refuse_unlisted(disks.table(ROOT), "/dev/sdb")
