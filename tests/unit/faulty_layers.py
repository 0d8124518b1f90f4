"""Machines with block devices below swap or /home that no hibernation survives."""

from tests.unit.fake_initramfs import Link
from tests.unit.fake_machine import GIB, MOUNTS, FakeMachine

LVM = "LVM-" + "x" * 64
OTHER_UUID = "aaaaaaaa-0000-0000-0000-000000000000"


def zram_only(fake: FakeMachine) -> None:
    fake.device("zram0", "253:0", 4 * GIB, "dddddddd-0000-0000-0000-000000000000")
    fake.replace("/proc/swaps", "/dev/sda2", "/dev/zram0")
    fake.remove("/var/lib/torpor/location")
    fake.initramfs.pop("var/lib/torpor/location")


def swap_on_nbd(fake: FakeMachine) -> None:
    fake.device("nbd0", "43:0", 4 * GIB, OTHER_UUID)
    fake.swaps("/dev/sda2 partition 4194304 0", "/dev/nbd0 partition 4096 0")


def home_on_nbd(fake: FakeMachine) -> None:
    fake.device("nbd0", "43:0", 4 * GIB, OTHER_UUID)
    fake.write("/proc/self/mountinfo", f"{MOUNTS}30 21 43:0 / /home rw - ext4 /dev/nbd0 rw\n")


def swap_on_a_thin_volume(fake: FakeMachine) -> None:
    fake.layer(3, GIB, OTHER_UUID, "sda1", ("vg-swap", LVM))
    fake.write("/sys/class/block/dm-3/dm/table", "0 2097152 thin 8:1 1")
    fake.swaps("/dev/sda2 partition 4194304 0", "/dev/dm-3 partition 4096 0")


def home_on_a_cache(fake: FakeMachine) -> None:
    fake.home("vg-home", LVM)
    fake.initramfs |= {"usr/sbin/lvm": b"x", "sbin": Link("usr/sbin")}
    fake.write("/usr/sbin/lvm", "")
    table = "0 2097152 cache 8:1 8:1 8:1 128 1 writeback smq 0"
    fake.write("/sys/class/block/dm-5/dm/table", table)


def home_on_ufs(fake: FakeMachine) -> None:
    fake.device("sdb1", "8:17", 4 * GIB, OTHER_UUID)
    line = "30 21 8:17 / /home rw - ufs /dev/sdb1 rw\n"
    fake.write("/proc/self/mountinfo", f"{MOUNTS}{line}")
