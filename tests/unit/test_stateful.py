"""What layers remember: on which of them no image may lie, with which no machine may hibernate."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from errors import KernelRefusedError, StoreRefusedError, UnreadableError
from hibernate.stateful import refuse_stateful
from linux.device_mapper import Target
from store.place import refuse_volatile
from store.stateful import stateful
from tests.tools import put
from tests.unit.fake_root import Disks

SYSFS = "sys/class/block"
TABLES = {
    "linear": "8:0 2048",
    "striped": "2 128 8:0 0 8:0 65536",
    "crypt": "aes-xts-plain64 00 0 8:0 32768",
    "multipath": "0 0 1 1 service-time 0 1 2 8:0 1 1",
    "verity": "1 8:0 8:0 4096 4096 10 10 sha256 00 00",
    "error": "",
    "zero": "",
    "flakey": "8:0 0 1 1 0",
    "delay": "8:0 0 500",
    "dust": "8:0 0 512",
    "unstriped": "2 256 0 8:0 0",
    "mirror": "disk 2 8:0 1024 2 8:0 0 8:0 0 1 handle_errors",
    "raid": "raid1 3 0 region_size 1024 2 8:0 8:0 8:0 8:0",
    "thin": "8:0 1",
    "thin-pool": "8:0 8:0 128 0 0",
    "snapshot-origin": "8:0",
    "snapshot": "8:0 8:0 P 16",
    "integrity": "8:0 0 4 J 6 block_size:512",
    "cache": "8:0 8:0 8:0 128 1 writethrough smq 0",
    "writecache": "s 8:0 8:0 4096 0",
    "era": "8:0 8:0 128",
    "clone": "8:0 8:0 8:0 128 0",
    "snapshot-merge": "8:0 8:0 P 16",
    "vdo": "V4 8:0 65536 4096 32768 16380",
    "zoned": "8:0",
    "ebs": "8:0 0 8",
}
ANYWHERE = [*TABLES][: [*TABLES].index("thin")]
NO_STORE = ("thin", "thin-pool", "snapshot-origin", "snapshot", "integrity")
NEVER = [kind for kind in TABLES if kind not in (*ANYWHERE, *NO_STORE)]


@pytest.fixture
def disks(tmp_path: Path) -> Disks:
    """A disk, 8:0, and dm-0 of the name vg-lv on it, which has no table yet."""
    made = Disks(tmp_path)
    made.add("sda")
    mapped(made, "dm-0", "vg-lv", "sda")
    return made


def mapped(disks: Disks, name: str, dm_name: str, below: str, *tables: str) -> None:
    disks.add(name, dm=(dm_name, f"LVM-{name}"))
    disks.stack(name, below)
    disks.map(name, *tables)


def table(kind: str, parameters: str = "") -> str:
    return f"0 65536 {kind} {parameters or TABLES[kind]}"


def array(disks: Disks, name: str = "md0", **files: str) -> None:
    """Add an array of a disk, which is well but for these files."""
    disks.add(name)
    disks.stack(name, "sda")
    shutil.rmtree(disks.folder / SYSFS / name / "dm")
    said = {
        "level": "raid1",
        "consistency_policy": "bitmap",
        "reshape_position": "none",
        "metadata_version": "1.2",
        "degraded": "0",
    } | files
    put(disks.folder, {f"{SYSFS}/{name}/md/{file}": f"{text}\n" for file, text in said.items()})


def store_refusal(disks: Disks, name: str) -> str:
    try:
        refuse_volatile(f"/dev/{name}", "/the/store", disks)
    except StoreRefusedError as error:
        return str(error)
    return ""


def refusal(disks: Disks) -> str:
    try:
        refuse_stateful(disks.table())
    except KernelRefusedError as error:
        return f"{error}; {error.hint}"
    return ""


def verdict(disks: Disks, name: str) -> tuple[bool, bool]:
    """Return whether an image may lie there, and whether the machine may hibernate."""
    return not store_refusal(disks, name), not refusal(disks)


@pytest.mark.parametrize("kind", TABLES)
def test_each_target(kind: str, disks: Disks) -> None:
    disks.map("dm-0", table(kind))
    assert verdict(disks, "dm-0") == (kind in ANYWHERE, kind not in NEVER)
    said = store_refusal(disks, "dm-0")
    assert not said or said.startswith(f"/the/store is on /dev/mapper/vg-lv (dm-{kind}), ")
    said = refusal(disks)
    assert not said or said.startswith(f"/dev/mapper/vg-lv is dm-{kind}, ")
    assert not said or "dmsetup remove vg-lv" in said


@pytest.mark.parametrize(
    ("kind", "parameters", "may"),
    [
        ("integrity", "8:0 0 4 D 2 block_size:512 internal_hash:crc32c", (False, True)),
        ("integrity", "8:0 0 4 B 2 block_size:512 internal_hash:crc32c", (False, False)),
        ("integrity", "8:0 0 4 R 2 block_size:512 internal_hash:crc32c", (False, False)),
        ("integrity", "8:0", (False, False)),
        ("snapshot", "8:0 8:0 PO 16", (False, True)),
        ("snapshot", "8:0 8:0 N 16", (False, False)),
        ("snapshot", "8:0 8:0 NO 16", (False, False)),
        ("raid", "raid5_ls 5 128 delta_disks 1 region_size 1024 3 8:0 8:0", (False, False)),
        ("raid", "raid5_ls 5 128 journal_dev 8:0 region_size 1024 3 8:0 8:0", (False, False)),
        ("raid", "raid6_zr 3 128 region_size 1024 5 8:0 8:0 - -", (True, True)),
        ("mirror", "core 2 1024 nosync 2 8:0 0 8:0 0", (True, True)),
    ],
)
def test_what_a_table_says(
    kind: str, parameters: str, may: tuple[bool, bool], disks: Disks
) -> None:
    disks.map("dm-0", table(kind, parameters))
    assert verdict(disks, "dm-0") == may


def test_one_line_of_many_and_several_layers_deep(disks: Disks) -> None:
    """A logical volume on LUKS on a pool, whose data are on a cache."""
    disks.map("dm-0", table("linear"), "65536 65536 cache 8:0 8:0 8:0 128 1 writeback smq 0")
    mapped(disks, "dm-1", "vg-pool-tpool", "dm-0", table("thin-pool"))
    mapped(disks, "dm-2", "vg-thin", "dm-1", table("thin"))
    mapped(disks, "dm-3", "luks", "dm-2", table("crypt"))
    assert "on /dev/mapper/vg-thin (dm-thin), which notes where" in store_refusal(disks, "dm-3")
    assert refusal(disks).startswith("/dev/mapper/vg-lv is dm-cache, which a boot changes")
    assert "lvconvert --splitcache" in refusal(disks)
    disks.map("dm-0", table("linear"))
    assert verdict(disks, "dm-3") == (False, True)
    assert verdict(disks, "dm-0") == (True, True)


def test_swap_beside_the_store(disks: Disks) -> None:
    """The kernel writes there, too, and the pool notes it."""
    disks.add("sdb")
    disks.map("dm-0", table("thin"))
    put(disks.folder, {"proc/swaps": "Filename\n/dev/dm-0 partition 100 0 -2\n"})
    assert verdict(disks, "sdb") == (True, False)
    assert refusal(disks).startswith("the swap on /dev/dm-0 is on /dev/mapper/vg-lv (dm-thin), ")
    assert "swapoff /dev/dm-0" in refusal(disks)
    disks.map("dm-0", table("raid"))
    assert verdict(disks, "sdb") == (True, True)


def test_what_is_beside_the_store_counts_for_the_machine_only(disks: Disks) -> None:
    disks.add("sdb")
    disks.map("dm-0", table("writecache"))
    assert verdict(disks, "sdb") == (True, False)


@pytest.mark.parametrize(
    ("files", "may"),
    [
        ({}, (True, True)),
        ({"level": "raid0", "metadata_version": "external:/md127/0"}, (True, True)),
        ({"level": "", "metadata_version": "external:imsm"}, (True, True)),
        ({"metadata_version": "external:/md127/0"}, (False, False)),
        ({"level": "raid5", "metadata_version": "external:imsm"}, (False, False)),
        ({"level": "raid5", "consistency_policy": "journal"}, (False, False)),
        ({"level": "raid5", "consistency_policy": "ppl"}, (False, False)),
        ({"level": "raid5", "consistency_policy": "resync"}, (True, True)),
        ({"level": "raid6", "reshape_position": "12345"}, (False, False)),
        ({"level": "raid10", "degraded": "1"}, (True, True)),
        ({"level": "raid5", "degraded": "1"}, (False, True)),
        ({"level": "raid6", "degraded": "2"}, (False, True)),
    ],
)
def test_arrays(files: dict[str, str], may: tuple[bool, bool], disks: Disks) -> None:
    array(disks, **files)
    assert verdict(disks, "md0") == may


def test_partition_of_an_array(disks: Disks) -> None:
    """It has neither layers nor states of its own."""
    array(disks, level="raid5", degraded="1")
    disks.add("md0p1")
    disks.partition("md0p1", "md0", 2048)
    put(disks.folder, {f"{SYSFS}/md0p1/partition": "1\n"})
    assert "on /dev/md0 (md raid5), which lacks a disk" in store_refusal(disks, "md0p1")


def test_bcache(disks: Disks) -> None:
    disks.add("bcache0")
    disks.stack("bcache0", "sda")
    array(disks)
    shutil.rmtree(disks.folder / SYSFS / "bcache0/dm")
    for name in ("bcache0", "sda"):
        put(disks.folder, {f"{SYSFS}/{name}/bcache/state": "clean\n"})
    assert verdict(disks, "sda") == (True, False)
    assert "on /dev/bcache0 (bcache), which a boot changes" in store_refusal(disks, "bcache0")
    assert "echo 1 > /sys/block/bcache0/bcache/detach" in refusal(disks)
    put(disks.folder, {f"{SYSFS}/bcache0/bcache/state": "no cache\n"})
    assert verdict(disks, "bcache0") == (True, True)


def test_kind_that_nobody_knows(disks: Disks) -> None:
    disks.add("new0")
    disks.stack("new0", "sda")
    shutil.rmtree(disks.folder / SYSFS / "new0/dm")
    assert verdict(disks, "new0") == (False, False)
    assert refusal(disks).startswith("/dev/new0 is of an unknown kind, of which Torpor does not")


def test_devices_without_a_table(disks: Disks) -> None:
    assert list(stateful("sda", disks)) == []
    assert list(stateful("dm-0", disks)) == []
    assert list(stateful("gone", disks)) == []


def test_table_that_cannot_be_read(disks: Disks, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: Disks, _number: str) -> list[Target]:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Disks, "dm_table", refuse)
    with pytest.raises(UnreadableError, match="permission denied"):
        refuse_stateful(disks.table())
    with pytest.raises(UnreadableError, match="permission denied"):
        refuse_volatile("/dev/dm-0", "/the/store", disks)
