"""What stops answering when the machine is frozen is refused before it is."""

import os
from pathlib import Path

import pytest

from errors import KernelRefusedError
from hibernate.filesystems import to_freeze
from hibernate.served import connecting_again, refuse_served, refuse_served_swap
from linux.mounts import Mount
from store.served import why_served
from tests.tools import put
from tests.unit.fake_root import Disks

SYSFS = "sys/class/block"
ROOT = Mount(1, "8:0", "/", "ext4", "/dev/sda1", "/", "rw")
DATA = Mount(2, "8:1", "/data", "ext4", "/dev/sdb1", "/", "rw")
BTRFS = Mount(3, "0:40", "/srv", "btrfs", "/dev/sdc", "/", "rw")
NTFS = Mount(4, "8:3", "/ntfs", "fuseblk", "/dev/sdd1", "/", "rw")
LOOP = Mount(5, "8:4", "/mnt", "ext4", "/dev/loop0", "/", "rw")
OVER = Mount(6, "0:50", "/merged", "overlay", "overlay", "/", "rw,upperdir=/data/x")
TMPFS = Mount(7, "0:51", "/tmp", "tmpfs", "tmpfs", "/", "rw")
SSHFS = Mount(8, "0:52", "/net", "fuse.sshfs", "there:", "/", "rw")
ALL = (ROOT, DATA, BTRFS, NTFS, OVER, TMPFS, SSHFS)


@pytest.fixture
def disks(tmp_path: Path) -> Disks:
    """Four disks and a loop device, with the numbers 8:0 to 8:4."""
    made = Disks(tmp_path)
    for name in ("sda1", "sdb1", "sdc", "sdd1", "loop0"):
        made.add(name)
    made.btrfs("1-2", "sdc")
    return made


def refused(disks: Disks, *mounts: Mount) -> str:
    table = disks.table(*mounts)
    with pytest.raises(KernelRefusedError) as caught:
        refuse_served(to_freeze(table), table)
    return f"{caught.value}; {caught.value.hint}"


@pytest.mark.parametrize("name", ["ublkb0", "nbd3", "nbd3p1"])
def test_served_devices_below_other_layers_too(name: str, disks: Disks) -> None:
    disks.add(name)
    disks.add("dm-1")
    disks.stack("dm-1", name)
    for number in ("8:5", "8:6"):
        said = refused(disks, ROOT, Mount(9, number, "/mnt", "ext4", "/dev/x"))
        assert said.startswith(f"/mnt lies on /dev/{name}, which cannot")
        assert "umount /mnt" in said


PLACES = {
    "virtual/vduse/disk0/vdpa0/virtio3/block/vda": "VDUSE",
    "tcm_loop_0/tcm_loop_adapter_0/host2/target2:0:1/2:0:1:0/block/sde": "own SCSI target",
    "platform/host3/session1/target3:0:0/3:0:0:1/block/sdf": "to itself",
    "platform/host3/session2/target3:0:0/3:0:0:1/block/sdg": "",
    "platform/host3/session4/target3:0:0/3:0:0:1/block/sdh": "to itself",
    "virtual/nvme-subsystem/nvme-subsys0/nvme0n1": "to itself",
    "virtual/nvme-fabrics/ctl/nvme1/nvme1n1": "",
    "virtual/nvme-fabrics/ctl/nvme2/nvme2n1": "to itself",
    "pci0000:00/0000:00:1f.2/nvme/nvme3/nvme3n1": "",
    "pci0000:00/0000:00:05.0/virtio2/block/vdb": "",
}
TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 10.0.2.0
        /24 link UNICAST
     |-- 10.0.2.15
        /32 host LOCAL
"""


@pytest.mark.parametrize(("place", "why"), PLACES.items())
def test_a_device_is_known_by_its_place(place: str, why: str, disks: Disks) -> None:
    """And the servers of iSCSI and NVMe by their addresses: this machine is 10.0.2.15."""
    folder = disks.folder / "sys/devices" / place
    folder.mkdir(parents=True)
    part = folder / f"{folder.name}p1"
    put(part, {"partition": "1"})
    for each in (folder, part):
        (disks.folder / SYSFS / each.name).symlink_to(each)
    if folder.name.startswith("nvme"):
        (folder / "device").symlink_to(folder.parent)
    connections = "sys/class/iscsi_connection/connection"
    tcp = "traddr=10.0.2.{},trsvcid=4420,host_traddr=10.0.2.15\n"
    put(
        disks.folder,
        {
            "proc/net/fib_trie": TRIE,
            "proc/77/comm": "iscsid\n",
            f"{connections}1:0/address": "127.0.0.1\n",
            f"{connections}2:0/address": "10.0.2.2\n",
            f"{connections}4:0/address": "10.0.2.15\n",
            "sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0/address": tcp.format(15),
            "sys/devices/virtual/nvme-fabrics/ctl/nvme1/address": tcp.format(2),
            "sys/devices/virtual/nvme-fabrics/ctl/nvme2/transport": "loop\n",
        },
    )
    for name in (folder.name, part.name):
        said = why_served(name, disks)
        assert (why in said) if why else not said


IF_INET6 = """00000000000000000000000000000001 01 80 10 80       lo
fd00000000000000000000000000000f 02 40 00 80     eth0
fe80000000000000505400fffe123456 02 40 20 80     eth0
"""
ADDRESSES = {
    "::1": True,
    "0000:0000:0000:0000:0000:0000:0000:0001": True,
    "fd00::f": True,
    "FD00:0:0::F": True,
    "[fd00::f]": True,
    "fd00:0000:0000:0000:0000:0000:0000:000f": True,
    "fe80::5054:ff:fe12:3456%eth0": True,
    "::ffff:10.0.2.15": True,
    "::ffff:127.0.0.9": True,
    "fd00::e": False,
    "::ffff:10.0.2.2": False,
    "fd00::f.example.org": False,
    "nn-0x20000000ab000001:pn-0x20000000ab000002": False,
    "": False,
}


@pytest.mark.parametrize(("address", "is_own"), ADDRESSES.items())
@pytest.mark.parametrize("kind", ["iscsi", "nvme"])
def test_servers_by_ipv6(kind: str, address: str, is_own: bool, disks: Disks) -> None:
    """iSCSI tells the address in full (%pI6), NVMe as whoever connected wrote it."""
    place = {
        "iscsi": "platform/host3/session1/target3:0:0/3:0:0:1/block/sdf",
        "nvme": "virtual/nvme-fabrics/ctl/nvme1/nvme1n1",
    }[kind]
    folder = disks.folder / "sys/devices" / place
    folder.mkdir(parents=True)
    (disks.folder / SYSFS / folder.name).symlink_to(folder)
    (folder / "device").symlink_to(folder.parent)
    put(
        disks.folder,
        {
            "proc/net/fib_trie": TRIE,
            "proc/net/if_inet6": IF_INET6,
            "proc/77/comm": "iscsid\n",
            "sys/class/iscsi_connection/connection1:0/address": f"{address}\n",
            "sys/devices/virtual/nvme-fabrics/ctl/nvme1/address": f"traddr={address},trsvcid=1\n",
        },
    )
    assert bool(why_served(folder.name, disks)) == is_own


def test_a_file_that_a_process_serves(disks: Disks) -> None:
    """A file system that no process serves may hold it, in memory and over the network, too."""
    for holder, why in (
        (NTFS, "a process serves its file /x"),
        (SSHFS, "a process serves its file /x"),
        (OVER, "nobody can tell which file system holds its file /x"),
    ):
        disks.hold("loop0", "/x", holder.device)
        assert why in refused(disks, *ALL, LOOP)
    for holder in (DATA, BTRFS, TMPFS):
        disks.hold("loop0", "/x", holder.device)
        refuse_served([[LOOP]], disks.table(*ALL, LOOP))


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "9p", "virtiofs", "ceph"])
def test_a_file_that_others_may_write(kind: str, disks: Disks) -> None:
    """The guard compares what lies on a disk; what only reads is no worse than any file there."""
    share = Mount(9, "0:60", "/share", kind, "server:/x", "/", "rw")
    disks.hold("loop0", "/share/x", share.device)
    said = refused(disks, *ALL, share, LOOP)
    assert said.startswith(f"/mnt lies on /dev/loop0, whose file /share/x is on {kind}: what other")
    reading = LOOP._replace(options="ro")
    refuse_served([[reading]], disks.table(*ALL, share, reading))


def test_a_file_that_nobody_can_find(disks: Disks) -> None:
    """On what is mounted nowhere any more; a read-only mount writes nothing, wherever it lies."""
    disks.hold("loop0", "/gone/image", "8:77")
    assert "nobody can tell which file system holds" in refused(disks, *ALL, LOOP)
    image = Mount(5, "8:4", "/mnt", "ext4", "/dev/loop0", "/", "ro,nojournal")
    refuse_served([[image]], disks.table(*ALL, image))


def test_a_file_of_a_subvolume(disks: Disks) -> None:
    """Its number is no mount's; one of the views has it at the path."""
    put(disks.folder, {"proc/self/mountinfo": "3 1 0:40 / /srv rw - btrfs /dev/sdc rw"})
    put(disks.folder, {"proc/42/root/images/one": "", "images/one": "of another file system"})
    status = os.stat(disks.path("/proc/42/root/images/one"))
    number = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    theirs = Mount(9, "8:1", "/proc/42/root/data", "ext4", "/dev/sdb1", "/", "rw")
    disks.hold("loop0", "/images/one", number, status.st_ino)
    table = disks.table(*ALL, theirs, LOOP)
    assert to_freeze(table).index([LOOP]) < to_freeze(table).index([BTRFS])
    refuse_served([[LOOP]], table)


def test_a_loop_device_of_a_block_device_is_no_better_than_that(disks: Disks) -> None:
    dev = Mount(9, "0:6", "/dev", "devtmpfs", "udev", "/", "rw")
    disks.add("nbd0")
    disks.hold("loop0", "/dev/sdb1", dev.device, device="8:1")
    refuse_served([[LOOP]], disks.table(*ALL, dev, LOOP))
    refuse_served([[LOOP]], disks.table(*ALL, LOOP))
    disks.add("loop1")
    disks.hold("loop1", "/dev/nbd0", dev.device, device="8:5")
    inner = Mount(10, "8:6", "/inner", "ext4", "/dev/loop1", "/", "rw")
    assert "/inner lies on /dev/nbd0" in refused(disks, *ALL, dev, inner)


def swaps(disks: Disks, path: str, kind: str = "partition") -> None:
    put(disks.folder, {"proc/swaps": f"Filename Type Size Used Priority\n{path} {kind} 9 0 -2\n"})


@pytest.mark.parametrize("name", ["loop0", "nbd1", "ublkb0"])
def test_swap_that_stops(name: str, disks: Disks) -> None:
    """Below LVM, too, whether the image goes there or not: the kernel swaps out to it."""
    disks.add(name)
    disks.add("dm-0")
    disks.stack("dm-0", name)
    disks.hold("loop0", "/data/swap", DATA.device)
    for path in (f"/dev/{name}", "/dev/dm-0"):
        swaps(disks, path)
        with pytest.raises(
            KernelRefusedError, match=f"the swap on {path} lies on /dev/{name}"
        ) as e:
            refuse_served_swap(disks.table(*ALL))
        assert e.value.hint.endswith(f"swapoff {path}")


def test_a_swap_file_is_on_what_its_file_system_is_on(disks: Disks) -> None:
    put(disks.folder, {"data/swap": "", "proc/self/mountinfo": "2 1 8:1 / /data rw - ext4 x rw"})
    swaps(disks, "/data/swap", "file")
    refuse_served_swap(disks.table(*ALL))
    put(disks.folder, {"proc/self/mountinfo": "5 1 8:4 / /data rw - ext4 x rw"})
    disks.hold("loop0", "/srv/image", BTRFS.device)
    with pytest.raises(KernelRefusedError, match="the swap on /data/swap lies on /dev/loop0"):
        refuse_served_swap(disks.table(*ALL))


@pytest.mark.parametrize("path", ["/dev/zram0", "/dev/sda1", "/dev/gone", r"/swap\040(deleted)"])
def test_swap_that_goes_on(path: str, disks: Disks) -> None:
    disks.add("zram0")
    swaps(disks, path, "file" if "deleted" in path else "partition")
    refuse_served_swap(disks.table(*ALL))


def test_who_connects_disks_again(disks: Disks) -> None:
    """Below a file system, active swap or the store, whatever lies between."""
    assert connecting_again([[DATA]], disks.table(*ALL), "/dev/sdc") == []
    place = disks.folder / "sys/devices/platform/host3/session2/target3:0:0/3:0:0:1/block"
    for name in ("sdx", "sdy", "sdz"):
        disks.add(name)
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (disks.folder / SYSFS / name).rename(place / name)
        (disks.folder / SYSFS / name).symlink_to(place / name)
    disks.add("dm-0")
    disks.stack("dm-0", "sdx")
    number = disks.device_number("/dev/dm-0")
    mounted = Mount(9, f"{number}", "/net", "ext4", "/dev/dm-0", "/", "rw")
    assert connecting_again([[mounted]], disks.table(*ALL, mounted), "") == ["iscsid"]
    assert connecting_again([[DATA]], disks.table(*ALL), "/dev/sdy") == ["iscsid"]
    swaps(disks, "/dev/sdz")
    assert connecting_again([], disks.table(*ALL), "/no/such/store") == ["iscsid"]
