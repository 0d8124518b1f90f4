"""Each prepared fault is found with its own message; a sound machine is only ok."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests.forge import KERNEL, PAGE, SWAP, USER
from tests.unit import faulty_layers as layers
from tests.unit.fake_initramfs import Link
from tests.unit.fake_machine import IMAGE, LOCATION, RELEASE, UUID_TEXT, FakeMachine, header
from tests.unit.fake_root import FILE_PAGE, say_udev
from tests.unit.marked import put_image
from torpor.doctor.finding import Level

LUKS = "CRYPT-LUKS2-" + "c" * 32 + "-swap_crypt"
LVM = "LVM-" + "x" * 64
OTHER_UUID = "aaaaaaaa-0000-0000-0000-000000000000"
EFI_VARIABLE = "/sys/firmware/efi/efivars/HibernateLocation-8cf2644b-4b0b-428f-9387-6d876050dc67"
OPTIONS = EFI_VARIABLE.replace("HibernateLocation", "SystemdOptions")
DROP_INS = "/etc/systemd/system/systemd-hibernate.service.d"
STORE_SDA2 = f"store = UUID={UUID_TEXT}\n"
RESUME_SDA1, ID_THERE = f"resume=UUID={OTHER_UUID}", "var/lib/torpor/machine-id"


def test_sound_machine(fake: FakeMachine) -> None:
    findings = fake.examine()
    assert {finding.level for finding in findings} == {Level.OK}
    assert len(findings) > 15
    assert not any(finding.remedy for finding in findings)


Spoil = Callable[[FakeMachine], object]


def on_command_line(words: str) -> Spoil:
    return lambda fake: fake.replace("/proc/cmdline", "quiet", f"quiet {words}")


def both(first: Spoil, second: Spoil) -> Spoil:
    def spoil(fake: FakeMachine) -> None:
        first(fake)
        second(fake)

    return spoil


def removed(path: str) -> Spoil:
    return lambda fake: fake.remove(path)


def written(path: str, text: str | bytes) -> Spoil:
    return lambda fake: fake.write(path, text)


def without(name: str) -> Spoil:
    return lambda fake: fake.initramfs.pop(name)


def with_member(name: str, data: bytes) -> Spoil:
    return lambda fake: fake.initramfs.update({name: data})


def random_key(fake: FakeMachine) -> None:
    fake.mapped("swap_crypt", "CRYPT-PLAIN-swap_crypt")
    fake.write("/etc/crypttab", "# a comment\nswap_crypt /dev/sda2 /dev/urandom swap,cipher=aes\n")


def old_image(fake: FakeMachine) -> None:
    """Make sda2 a store device with an image."""
    fake.swaps()
    fake.write("/dev/sda2", header(USER, b"TORPSTOR") + bytes(1000 * PAGE))
    put_image(fake.root / "dev/sda2", bytes(PAGE), [(1, 1000)])


def swap_file(fake: FakeMachine, offset: int) -> None:
    fake.file("/my swap", header(SWAP))
    fake.replace("/proc/swaps", "/dev/sda2 partition", r"/my\040swap file")
    text = f"resume=UUID={OTHER_UUID}\nresume_offset={offset}\nstore=/my swap\n"
    fake.write("/var/lib/torpor/location", text)
    fake.initramfs |= {"var/lib/torpor/location": text.encode()}


def on_luks(fake: FakeMachine) -> None:
    fake.mapped("swap_crypt", LUKS)
    fake.initramfs |= {"usr/sbin/cryptsetup": b"x"}
    fake.initramfs |= {"sbin": Link("usr/sbin")}
    fake.write("/usr/share/initramfs-tools/hooks/cryptroot", "")
    fake.write("/etc/crypttab", "swap_crypt /dev/sda2 none luks\n")


def stock_first(fake: FakeMachine) -> None:
    order = b'/scripts/local-premount/resume "$@"\n/scripts/local-premount/torpor "$@"\n'
    fake.initramfs |= {"scripts/local-premount/ORDER": order}


def gpu(fake: FakeMachine) -> None:
    name = f"usr/lib/modules/{RELEASE}/kernel/drivers/gpu/drm/amd/amdgpu/amdgpu.ko.xz"
    fake.initramfs |= {name: b"x"}
    fake.write("/sys/module/amdgpu/refcnt", "1\n")


def unreadable(fake: FakeMachine) -> None:
    fake.initramfs = {}
    fake.write(IMAGE, b"070701 is not all there")


class Fault(NamedTuple):
    """What spoils a machine, and a part of what is said of it."""

    spoil: Spoil
    message: str
    remedy: str
    level: Level = Level.PROBLEM

    def check(self, fake: FakeMachine) -> None:
        """See that doctor finds this and nothing else."""
        self.spoil(fake)
        (finding,) = fake.bad()
        assert finding.level == self.level
        assert self.message in finding.message
        assert self.remedy in finding.remedy


FAULTS = {
    "no snapshot device": Fault(
        removed("/dev/snapshot"), "there is no /dev/snapshot", "CONFIG_HIBERNATION_SNAPSHOT_DEV"
    ),
    "kernel without hibernation": Fault(
        written(f"/boot/config-{RELEASE}", "CONFIG_HIBERNATION=y\n"),
        "is built without CONFIG_HIBERNATION_SNAPSHOT_DEV",
        "boot a kernel",
    ),
    "nohibernate": Fault(
        on_command_line("nohibernate"), "the kernel command line forbids hibernation", "nohibernate"
    ),
    "no disk state": Fault(
        written("/sys/power/state", "freeze mem\n"), "no disk in /sys/power/state", "memfd_secret"
    ),
    "lockdown": Fault(
        written("/sys/kernel/security/lockdown", "none [integrity] confidentiality\n"),
        "the kernel is locked down",
        "Secure Boot",
    ),
    "kernel replaced": Fault(
        lambda fake: (fake.root / f"lib/modules/{RELEASE}").rmdir(),
        "is not installed any more",
        "boot once",
    ),
    "newer kernel": Fault(
        written("/lib/modules/6.1.0-100-amd64/vmlinuz", ""),
        "kernel 6.1.0-100-amd64 is newer than the running",
        "boot it once",
        Level.WARNING,
    ),
    "mode": Fault(
        written("/etc/torpor.conf", "mode = reboot\n"),
        "will not stay off",
        "take that line out",
        Level.WARNING,
    ),
    "configuration": Fault(
        written("/etc/torpor.conf", "stor = /dev/sda2\n"),
        "/etc/torpor.conf, line 1: there is no 'stor'",
        "",
    ),
    "zram only": Fault(layers.zram_only, "/dev/zram0 is compressed memory", "mkstore"),
    "random key": Fault(random_key, "a new random key at each boot (swap_crypt", "LUKS"),
    "store gone": Fault(
        lambda fake: say_udev(fake.root, "8:2", ID_FS_TYPE="ext4"),
        f"UUID={UUID_TEXT}, which torpor enable chose, is not there",
        "torpor enable",
    ),
    "swap off": Fault(
        written("/proc/swaps", "Filename\n"),
        "/dev/sda2 is swap that is not in use",
        "swapon /dev/sda2",
    ),
    "store too small": Fault(
        written("/proc/swaps", "Filename\n/dev/sda2 partition 100000 0 -2\n"),
        "has 97 MiB for an image of about 1638 MiB before compression: it will not fit",
        "larger store",
    ),
    "store may be too small": Fault(
        written("/proc/swaps", "Filename\n/dev/sda2 partition 1000000 0 -2\n"),
        "it may not fit",
        "image-size",
        Level.WARNING,
    ),
    "no memory for a snapshot": Fault(
        lambda fake: fake.replace("/proc/meminfo", "Shmem: 0", "Shmem: 6000000"),
        "more than half of the memory, and there is no swap",
        "add swap",
    ),
    "old image": Fault(
        old_image, "an old image lies on /dev/sda2", "torpor discard", Level.WARNING
    ),
    "image on swap": Fault(
        both(written("/proc/swaps", "\n"), written("/dev/sda2", header(KERNEL))),
        "holds an image of the kernel's own",
        "mkswap",
    ),
    "resume= of another device": Fault(
        both(on_command_line(RESUME_SDA1), written("/etc/torpor.conf", STORE_SDA2)),
        f"{RESUME_SDA1} on the kernel command line names /dev/sda1, but the store /dev/sda2",
        "boot loader",
    ),
    "resume= of nothing": Fault(
        both(on_command_line("resume=UUID=0815"), written("/etc/torpor.conf", STORE_SDA2)),
        "resume=UUID=0815 on the kernel command line names nothing that is there",
        "boot loader",
    ),
    "noresume": Fault(on_command_line("noresume"), "has noresume", "take it off"),
    "swap file moved": Fault(
        lambda fake: swap_file(fake, FILE_PAGE - 1),
        f"location says page {FILE_PAGE - 1}, but /my swap begins at page {FILE_PAGE}",
        "torpor enable --store '/my swap'",
    ),
    "no location": Fault(
        both(removed("/var/lib/torpor/location"), without("var/lib/torpor/location")),
        "torpor enable will tell the next boot where /dev/sda2 is",
        "",
        Level.ENABLE,
    ),
    "location of another installation": Fault(
        both(written("/etc/machine-id", "f" * 32), with_member(ID_THERE, b"f" * 32)),
        "is another installation's",
        "torpor enable",
    ),
    "initramfs of another installation": Fault(
        with_member(ID_THERE, b"f" * 32),
        "does not hold this system's machine id",
        "update-initramfs",
    ),
    "no machine id": Fault(
        both(written("/etc/machine-id", "uninitialized\n"), without(ID_THERE)),
        "this system has no machine id",
        "systemd-machine-id-setup",
        Level.WARNING,
    ),
    "no initramfs": Fault(
        lambda fake: setattr(fake, "initramfs", {}),
        f"no initramfs of the kernel {RELEASE} is found",
        "update-initramfs",
    ),
    "damaged initramfs": Fault(
        unreadable, f"{IMAGE} cannot be used: its cpio archive is cut off", "update-initramfs"
    ),
    "no resumer": Fault(
        without("usr/lib/torpor/resume/torpor-resume"),
        f"{IMAGE} does not hold the resumer",
        "update-initramfs -u -k all",
    ),
    "a library is missing": Fault(
        without("usr/lib/x86_64-linux-gnu/libc.so.6"),
        f"{IMAGE} lacks /lib/x86_64-linux-gnu/libc.so.6, which the resumer needs",
        "update-initramfs",
    ),
    "another version": Fault(
        with_member("usr/lib/torpor/resume/torpor-resume", b"an older resumer"),
        "holds another version of /usr/lib/torpor/resume/torpor-resume",
        "update-initramfs",
    ),
    "older location": Fault(
        with_member("var/lib/torpor/location", LOCATION.replace("1", "2").encode()),
        "holds an older /var/lib/torpor/location",
        "update-initramfs",
    ),
    "wrong order": Fault(
        stock_first,
        f"{IMAGE} runs the stock resume before Torpor's",
        "update-initramfs",
        Level.WARNING,
    ),
    "not run": Fault(
        with_member("scripts/local-premount/ORDER", b"/scripts/local-premount/resume\n"),
        f"{IMAGE} holds the resumer but does not run it",
        "update-initramfs",
    ),
    "no cryptsetup": Fault(
        lambda fake: fake.mapped("swap_crypt", LUKS),
        f"{IMAGE} has no cryptsetup to open swap_crypt",
        "cryptsetup-initramfs",
    ),
    "LUKS not opened": Fault(on_luks, f"nothing tells {IMAGE} to open swap_crypt", "crypttab"),
    "no lvm": Fault(
        lambda fake: fake.mapped("vg-swap", LVM), f"{IMAGE} has no lvm to activate vg-swap", "lvm2"
    ),
    "graphics": Fault(gpu, "holds the graphics driver amdgpu", "early KMS", Level.WARNING),
    "RESUME= of nothing": Fault(
        both(
            written("/etc/initramfs-tools/conf.d/resume", "RESUME=UUID=beef\n"),
            written("/etc/initramfs-tools/initramfs.conf", "RESUME=none\n"),
        ),
        "RESUME=UUID=beef is not there",
        "update-initramfs -u",
        Level.WARNING,
    ),
    "a pool of ZFS": Fault(
        written("/proc/spl/kstat/zfs/tank/state", "ONLINE\n"),
        "the pool tank is imported",
        "zpool export tank",
    ),
    "swap on a network block device": Fault(
        layers.swap_on_nbd,
        "the swap on /dev/nbd0 lies on /dev/nbd0, which cannot",
        "swapoff /dev/nbd0",
    ),
    "a file system on one": Fault(
        layers.home_on_nbd,
        "/home lies on /dev/nbd0, which cannot be written to once",
        "umount /home",
    ),
    "swap on a thin volume": Fault(
        layers.swap_on_a_thin_volume, "/dev/dm-3 is on /dev/mapper/vg-swap (dm-thin)", "swapoff"
    ),
    "a file system on a cache": Fault(
        layers.home_on_a_cache,
        "/dev/mapper/vg-home is dm-cache, which a boot changes when it sets it up",
        "dmsetup remove vg-home; or do without the cache: lvconvert --splitcache",
    ),
    "a file system that nobody knows": Fault(
        layers.home_on_ufs, "ufs on /dev/sdb1, mounted at /home: only a sample", "umount /home"
    ),
    "HibernateLocation": Fault(
        written(EFI_VARIABLE, "x"),
        "the EFI variable HibernateLocation is left",
        "chattr -i",
        Level.WARNING,
    ),
    "resume= for systemd alone": Fault(
        written(OPTIONS, bytes(4) + "quiet resume=/dev/sdb1\0".encode("utf-16-le")),
        "the EFI variable SystemdOptions has resume, which only systemd reads",
        "bootctl systemd-efi-options ''",
        Level.WARNING,
    ),
    "noresume for systemd alone": Fault(
        written(OPTIONS, bytes(4) + "noresume".encode("utf-16-le")),
        "the EFI variable SystemdOptions has noresume",
        "bootctl systemd-efi-options ''",
        Level.WARNING,
    ),
    "no drop-in": Fault(
        removed(f"{DROP_INS}/torpor.conf"),
        "systemctl hibernate does not use Torpor",
        "torpor enable",
        Level.WARNING,
    ),
    "another drop-in wins": Fault(
        written(f"{DROP_INS}/zz.conf", "[Service]\nExecStart=\nExecStart=/bin/other\n"),
        "systemctl hibernate does not use Torpor",
        f"take ExecStart= out of {DROP_INS}/zz.conf",
        Level.WARNING,
    ),
    "masked": Fault(
        lambda fake: fake.link("/etc/systemd/system/hibernate.target", "/dev/null"),
        "hibernate.target is masked",
        "systemctl unmask",
        Level.WARNING,
    ),
    "forbidden": Fault(
        written("/etc/systemd/sleep.conf.d/50.conf", "[Sleep]\nAllowHibernation=no\n"),
        "AllowHibernation=no in /etc/systemd/sleep.conf.d/50.conf",
        "take that line out",
        Level.WARNING,
    ),
    "logind": Fault(
        removed("/etc/systemd/system/systemd-logind.service.d/torpor.conf"),
        "logind may refuse systemctl hibernate: it looks for room in swap only",
        "torpor enable",
        Level.WARNING,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_found_and_nothing_else(name: str, fake: FakeMachine) -> None:
    FAULTS[name].check(fake)


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("quiet", "resumewait".encode("utf-16-le")),
        (f"resume=UUID={UUID_TEXT}", "resume=/dev/sdb1\0".encode("utf-16-le")),
        ("quiet", b"x"),
        ("quiet", b""),
    ],
)
def test_options_of_systemd_that_decide_nothing(
    words: str, value: bytes, fake: FakeMachine
) -> None:
    fake.replace("/proc/cmdline", "quiet", words)
    fake.write(OPTIONS, bytes(4) + value)
    assert fake.complaints() == []


def test_faults_have_messages_of_their_own() -> None:
    messages = {fault.message for fault in FAULTS.values()}
    assert len(messages) >= len(FAULTS) - 1  # of the two about the drop-in
