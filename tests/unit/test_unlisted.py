"""Devices in use by what no list of mounts names."""

import errno
import os
import time
from pathlib import Path

import pytest

from errors import KernelRefusedError
from hibernate.unlisted import refuse_unlisted
from linux import block, tasks
from linux.mounts import Mount
from linux.tasks import written_devices
from tests.sources import opened
from tests.tools import failing, put
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


@pytest.fixture(autouse=True)
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Numbers of the devices that a virtual machine has open for writing."""
    numbers: list[str] = []
    monkeypatch.setattr(tasks, "pids", lambda: [1234])
    monkeypatch.setattr(tasks, "name_of", lambda _pid: "qemu-system-x86")
    monkeypatch.setattr(tasks, "written_devices", lambda _pid, _mounts: iter(numbers))
    return numbers


def part(disks: Disks, name: str, disk: str) -> None:
    """Have a partition on a disk."""
    if not disks.device_number(f"/dev/{name}"):
        disks.add(name)
    disks.partition(name, disk, 2048)
    put(disks.folder, {f"{SYSFS}/{name}/partition": name[-1]})


@pytest.fixture
def disks(tmp_path: Path, held: set[str]) -> Disks:
    """A disk with a root and swap, one that is the store, one below dm-0, and a free one."""
    del held
    made = Disks(tmp_path)
    for name in ("sda", "sda1", "sda2", "sdb", "sdc", "dm-0", "sdd"):
        made.add(name)
    for name in ("sda1", "sda2"):
        part(made, name, "sda")
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


USED_WHOLE = {
    # The mount of sdd, its holder, the store: what has all of it.
    "a hybrid image on a stick": ([Mount(2, "8:6", "/cd", "iso9660", "/dev/sdd")], "", "/dev/sdb"),
    "dmraid, multipath, imsm": ([], "dm-0", "/dev/sdb"),
    "mkstore --force": ([], "", "/dev/sdd"),
}


@pytest.mark.parametrize("case", USED_WHOLE)
def test_a_partition_that_is_left_on_a_disk_used_as_a_whole(
    case: str, disks: Disks, held: set[str]
) -> None:
    """Nobody may hold it: neither we."""
    mounts, holder, store = USED_WHOLE[case]
    held |= {"sdd", "sdd1", "sdd2"}
    held.discard("sdb")
    for number in (1, 2):
        part(disks, f"sdd{number}", "sdd")
    if holder:
        disks.stack(holder, "sdd")
    refuse_unlisted(disks.table(ROOT, *mounts), store)
    if not holder:
        with pytest.raises(KernelRefusedError, match="/dev/sdd1 is in use"):
            refuse_unlisted(disks.table(ROOT), "/dev/sdb")
        put(disks.folder, {"sys/fs/ext4/sdd/state": ""})
        with pytest.raises(KernelRefusedError, match="/dev/sdd is in use, but its ext4 is mounted"):
            refuse_unlisted(disks.table(ROOT), "/dev/sdb")


def test_swap_on_a_whole_disk_with_an_old_partition(disks: Disks, held: set[str]) -> None:
    held |= {"sdd", "sdd1"}
    part(disks, "sdd1", "sdd")
    put(disks.folder, {"proc/swaps": f"{SWAP}/dev/sdd partition 100 0 -3\n"})
    refuse_unlisted(disks.table(ROOT), "/dev/sdb")


def test_where_zram_moves_pages_to_is_as_swap(disks: Disks, held: set[str]) -> None:
    held.add("sdd")
    for said in ("none\n", "/dev/sdd\n"):
        put(disks.folder, {f"{SYSFS}/zram0/backing_dev": said})
        if "none" in said:
            with pytest.raises(KernelRefusedError, match="/dev/sdd is in use"):
                refuse_unlisted(disks.table(ROOT), "/dev/sdb")
    refuse_unlisted(disks.table(ROOT), "/dev/sdb")


@pytest.mark.parametrize(("file", "remedy"), [("set/cache0", "set/unregister"), ("label", "stop")])
def test_bcache_without_a_device_above_is_named(
    file: str, remedy: str, disks: Disks, held: set[str]
) -> None:
    """A cache after `detach`, and what waits for a cache that is gone."""
    held.add("sdd")
    put(disks.folder, {f"{SYSFS}/sdd/bcache/{file}": ""})
    with pytest.raises(KernelRefusedError, match="/dev/sdd is in use by bcache") as caught:
        refuse_unlisted(disks.table(ROOT), "/dev/sdb")
    assert caught.value.hint.endswith(f"echo 1 > /sys/class/block/sdd/bcache/{remedy}")


@pytest.mark.parametrize("name", ["sda", "sdd", "dm-1"])
def test_who_writes_to_a_device_itself_is_named(
    name: str, disks: Disks, held: set[str], written: list[str]
) -> None:
    """Also to the disk of our partitions, and to what is on the disk of others."""
    disks.add("dm-1")
    disks.stack("dm-1", "sdd")
    number = disks.device_number(f"/dev/{name}")
    assert number
    written.append(number)
    held.discard("sdd")
    with pytest.raises(
        KernelRefusedError,
        match=rf"^qemu-system-x86 \(process 1234\) has /dev/{name} open for writing: what another",
    ) as caught:
        refuse_unlisted(disks.table(ROOT), "/dev/sdb")
    assert "unguarded-file-systems = raw in /etc/torpor.conf" in caught.value.hint
    held.add(name)
    refuse_unlisted(disks.table(ROOT), "/dev/sdb", ("udf", "raw"))


def test_who_may_write_to_a_device_itself(disks: Disks, written: list[str]) -> None:
    """What is mounted, swap, the store, what those lie on; what is in files or in memory."""
    for name in ("zram0", "loop0", "loop1", "nbd0", "dm-1"):
        disks.add(name)
    disks.hold("loop0", "/images/disk", ROOT.device)
    disks.hold("loop1", "/dev/loop0", "0:6", device=disks.device_number("/dev/loop0") or "")
    disks.stack("dm-1", "loop0")
    names = ("sda1", "sda2", "sdb", "sdc", "dm-0", "zram0", "loop0", "loop1", "nbd0", "dm-1")
    written += [*(disks.device_number(f"/dev/{name}") or "" for name in names), "9:99"]  # is gone
    home = Mount(2, "8:5", "/home", "xfs", "/dev/mapper/x")
    refuse_unlisted(disks.table(ROOT, home), "/dev/sdb")
    disks.hold("loop1", "/dev/sdd", "0:6", device=disks.device_number("/dev/sdd") or "")
    with pytest.raises(KernelRefusedError, match="has /dev/loop1 open for writing"):
        refuse_unlisted(disks.table(ROOT, home), "/dev/sdb")


def test_no_file_system_is_asked_that_may_not_answer(
    disks: Disks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One over the network or of a process: a server that is gone would keep us for ever."""
    asked: set[int] = set()

    def ask(_pid: int, mounts: set[int]) -> list[str]:
        asked.update(mounts)
        return []

    monkeypatch.setattr(tasks, "written_devices", ask)
    kinds = ("nfs4", "fuse.sshfs", "cifs", "9p", "proc", "devtmpfs", "tmpfs", "overlay")
    numbers = range(10, 10 + len(kinds))
    others = [Mount(n, f"0:{n}", "/", kind, "x") for n, kind in zip(numbers, kinds, strict=True)]
    ntfs = Mount(9, "8:3", "/ntfs", "fuseblk", "/dev/sdb")
    refuse_unlisted(disks.table(ROOT, ntfs, *others), "/dev/sdb")
    assert asked == {ROOT.mount_id, 15, 16, 17}
    with opened(tmp_path / "file", os.O_RDWR | os.O_CREAT) as fd:
        assert os.readlink(f"/proc/self/fd/{fd}") == str(tmp_path / "file")
        monkeypatch.setattr(os, "stat", failing(AssertionError("it was asked")))
        assert [*written_devices(os.getpid(), set())] == []


def test_whoever_writes_for_a_moment_is_none(
    disks: Disks, written: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    written.append(disks.device_number("/dev/sdd") or "")
    monkeypatch.setattr(time, "sleep", lambda _seconds: written.clear())
    refuse_unlisted(disks.table(ROOT), "/dev/sdb")


LIO = "sys/kernel/config/target/core"
NVMET = "sys/kernel/config/nvmet/subsystems/nqn.x"
FILEIO = (
    "Status: ACTIVATED\n        TCM FILEIO ID: 0        File: {}  Size: 9  Mode: O_DSYNC Async: 0\n"
)
IBLOCK = "Status: ACTIVATED\n        iBlock device: sdd  UDEV PATH: {}  readonly: 0\n"
EXPORTS = {
    "fileio": (f"{LIO}/fileio_1/disk", "info", FILEIO, "SCSI target serves /dev/sdd to other"),
    "iblock": (f"{LIO}/iblock_0/disk", "info", IBLOCK, "SCSI target serves /dev/sdd to other"),
    "nvmet": (f"{NVMET}/namespaces/1", "device_path", "{}\n", "NVMe target serves /dev/sdd to"),
}


@pytest.mark.parametrize("case", EXPORTS)
def test_the_kernel_serves_it_to_other_machines(case: str, disks: Disks) -> None:
    folder, file, text, said = EXPORTS[case]
    put(disks.folder, {f"{LIO}/alua/x": "", f"{LIO}/fileio_1/hba_info": "", "srv/image": ""})
    for path, enabled in (("/dev/sdd", "0"), ("/srv/image", "1"), ("/dev/sdd", "1")):
        put(disks.folder, {f"{folder}/{file}": text.format(path), f"{folder}/enable": enabled})
        if (path, enabled) != ("/dev/sdd", "1"):
            refuse_unlisted(disks.table(ROOT), "/dev/sdb")
    with pytest.raises(KernelRefusedError, match=said):
        refuse_unlisted(disks.table(ROOT), "/dev/sdb", ("raw",))


def test_a_controller_that_is_passed_through(disks: Disks) -> None:
    path = f"{NVMET}/passthru"
    put(disks.folder, {f"{path}/device_path": "/dev/nvme1\n", f"{path}/enable": "0\n"})
    refuse_unlisted(disks.table(ROOT), "/dev/sdb")
    put(disks.folder, {f"{path}/enable": "1\n"})
    with pytest.raises(KernelRefusedError, match="NVMe target serves /dev/nvme1 to other"):
        refuse_unlisted(disks.table(ROOT), "/dev/sdb")


def test_a_disk_whose_partition_is_a_layer_s_is_no_surprise(disks: Disks, held: set[str]) -> None:
    held.add("sdd")
    part(disks, "sdd1", "sdd")
    disks.stack("dm-0", "sdd1")
    refuse_unlisted(disks.table(ROOT), "/dev/sdb")
