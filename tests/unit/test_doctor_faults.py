"""Each prepared fault is found with its own message; a sound machine is only ok."""

from collections.abc import Callable
from pathlib import Path

import pytest

from format.first_page import MARK_MAGIC, MARK_OFFSET
from tests.forge import KERNEL, SWAP, USER
from tests.unit.fake_initramfs import Link
from tests.unit.fake_machine import (
    GIB,
    IMAGE,
    LOCATION,
    RELEASE,
    UUID_TEXT,
    FakeMachine,
    header,
)
from tests.unit.fake_root import FILE_PAGE, say_udev
from torpor.doctor.finding import Finding, Level

LUKS = "CRYPT-LUKS2-" + "c" * 32 + "-swap_crypt"
LVM = "LVM-" + "x" * 64
OTHER_UUID = "aaaaaaaa-0000-0000-0000-000000000000"
EFI_VARIABLE = "/sys/firmware/efi/efivars/HibernateLocation-8cf2644b-4b0b-428f-9387-6d876050dc67"
STORE_SDA2 = "store = /dev/sda2\n"
STORE_PAGE = header(USER, b"TORPSTOR")


@pytest.fixture(name="fake")
def _fake(tmp_path: Path) -> FakeMachine:
    return FakeMachine(tmp_path)


def bad(fake: FakeMachine) -> list[Finding]:
    return [finding for finding in fake.examine() if finding.level != Level.OK]


def test_sound_machine(fake: FakeMachine) -> None:
    findings = fake.examine()
    assert [finding for finding in findings if finding.level != Level.OK] == []
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


def zram_only(fake: FakeMachine) -> None:
    fake.device("zram0", "253:0", 4 * GIB, "dddddddd-0000-0000-0000-000000000000")
    fake.replace("/proc/swaps", "/dev/sda2", "/dev/zram0")
    fake.remove("/var/lib/torpor/location")
    fake.initramfs.pop("var/lib/torpor/location")


def random_key(fake: FakeMachine) -> None:
    fake.mapped("swap_crypt", "CRYPT-PLAIN-swap_crypt")
    fake.write("/etc/crypttab", "# a comment\nswap_crypt /dev/sda2 /dev/urandom swap,cipher=aes\n")


def store_device(fake: FakeMachine) -> None:
    """Make sda2 a store device."""
    fake.write("/dev/sda2", STORE_PAGE)
    fake.write("/proc/swaps", "Filename Type Size Used Priority\n")


def old_image(fake: FakeMachine) -> None:
    store_device(fake)
    page = bytearray(STORE_PAGE)
    page[MARK_OFFSET : MARK_OFFSET + len(MARK_MAGIC)] = MARK_MAGIC
    fake.write("/dev/sda2", bytes(page))


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


FAULTS: dict[str, tuple[Spoil, Level, str, str]] = {
    "no snapshot device": (
        removed("/dev/snapshot"),
        Level.PROBLEM,
        "there is no /dev/snapshot",
        "CONFIG_HIBERNATION_SNAPSHOT_DEV",
    ),
    "kernel without hibernation": (
        written(f"/boot/config-{RELEASE}", "CONFIG_HIBERNATION=y\n"),
        Level.PROBLEM,
        "is built without CONFIG_HIBERNATION_SNAPSHOT_DEV",
        "boot a kernel",
    ),
    "nohibernate": (
        on_command_line("nohibernate"),
        Level.PROBLEM,
        "the kernel command line forbids hibernation",
        "nohibernate",
    ),
    "no disk state": (
        written("/sys/power/state", "freeze mem\n"),
        Level.PROBLEM,
        "no disk in /sys/power/state",
        "memfd_secret",
    ),
    "lockdown": (
        written("/sys/kernel/security/lockdown", "none [integrity] confidentiality\n"),
        Level.PROBLEM,
        "the kernel is locked down",
        "Secure Boot",
    ),
    "kernel replaced": (
        lambda fake: (fake.root / f"lib/modules/{RELEASE}").rmdir(),
        Level.PROBLEM,
        "is not installed any more",
        "boot once",
    ),
    "newer kernel": (
        written("/lib/modules/6.1.0-100-amd64/vmlinuz", ""),
        Level.WARNING,
        "kernel 6.1.0-100-amd64 is newer than the running",
        "boot it once",
    ),
    "mode": (
        written("/etc/torpor.conf", "mode = reboot\n"),
        Level.WARNING,
        "will not stay off",
        "take that line out",
    ),
    "configuration": (
        written("/etc/torpor.conf", "stor = /dev/sda2\n"),
        Level.PROBLEM,
        "/etc/torpor.conf, line 1: there is no 'stor'",
        "",
    ),
    "zram only": (zram_only, Level.PROBLEM, "/dev/zram0 is compressed memory", "mkstore"),
    "random key": (random_key, Level.PROBLEM, "a new random key at each boot (swap_crypt", "LUKS"),
    "store gone": (
        lambda fake: say_udev(fake.root, "8:2", ID_FS_TYPE="ext4"),
        Level.PROBLEM,
        f"UUID={UUID_TEXT}, which torpor enable chose, is not there",
        "torpor enable",
    ),
    "swap off": (
        written("/proc/swaps", "Filename\n"),
        Level.PROBLEM,
        "/dev/sda2 is swap that is not in use",
        "swapon /dev/sda2",
    ),
    "store too small": (
        written("/proc/swaps", "Filename\n/dev/sda2 partition 100000 0 -2\n"),
        Level.PROBLEM,
        "has 97 MiB for an image of about 1638 MiB before compression: it will not fit",
        "larger store",
    ),
    "store may be too small": (
        written("/proc/swaps", "Filename\n/dev/sda2 partition 1000000 0 -2\n"),
        Level.WARNING,
        "it may not fit",
        "image-size",
    ),
    "no memory for a snapshot": (
        lambda fake: fake.replace("/proc/meminfo", "Shmem: 0", "Shmem: 6000000"),
        Level.PROBLEM,
        "more than half of the memory, and there is no swap",
        "add swap",
    ),
    "old image": (old_image, Level.WARNING, "an old image lies on /dev/sda2", "torpor discard"),
    "image on swap": (
        both(written("/proc/swaps", "\n"), written("/dev/sda2", header(KERNEL))),
        Level.PROBLEM,
        "holds an image of the kernel's own",
        "mkswap",
    ),
    "resume= of another device": (
        both(on_command_line("resume=/dev/sda1"), written("/etc/torpor.conf", STORE_SDA2)),
        Level.PROBLEM,
        "resume=/dev/sda1 on the kernel command line names /dev/sda1, but the store /dev/sda2",
        "boot loader",
    ),
    "resume= of nothing": (
        both(on_command_line("resume=UUID=0815"), written("/etc/torpor.conf", STORE_SDA2)),
        Level.PROBLEM,
        "resume=UUID=0815 on the kernel command line names nothing that is there",
        "boot loader",
    ),
    "noresume": (on_command_line("noresume"), Level.PROBLEM, "has noresume", "take it off"),
    "swap file moved": (
        lambda fake: swap_file(fake, FILE_PAGE - 1),
        Level.PROBLEM,
        f"location says page {FILE_PAGE - 1}, but /my swap begins at page {FILE_PAGE}",
        "torpor enable --store '/my swap'",
    ),
    "no location": (
        both(removed("/var/lib/torpor/location"), without("var/lib/torpor/location")),
        Level.ENABLE,
        "torpor enable will tell the next boot where /dev/sda2 is",
        "",
    ),
    "location of another installation": (
        written("/etc/machine-id", "f" * 32),
        Level.PROBLEM,
        "is another installation's",
        "torpor enable",
    ),
    "no initramfs": (
        lambda fake: setattr(fake, "initramfs", {}),
        Level.PROBLEM,
        f"no initramfs of the kernel {RELEASE} is found",
        "update-initramfs",
    ),
    "damaged initramfs": (
        unreadable,
        Level.PROBLEM,
        f"{IMAGE} cannot be used: its cpio archive is cut off",
        "update-initramfs",
    ),
    "no resumer": (
        without("usr/lib/torpor/resume/torpor-resume"),
        Level.PROBLEM,
        f"{IMAGE} does not hold the resumer",
        "update-initramfs -u -k all",
    ),
    "a library is missing": (
        without("usr/lib/x86_64-linux-gnu/libc.so.6"),
        Level.PROBLEM,
        f"{IMAGE} lacks /lib/x86_64-linux-gnu/libc.so.6, which the resumer needs",
        "update-initramfs",
    ),
    "another version": (
        with_member("usr/lib/torpor/resume/torpor-resume", b"an older resumer"),
        Level.PROBLEM,
        "holds another version of /usr/lib/torpor/resume/torpor-resume",
        "update-initramfs",
    ),
    "older location": (
        with_member("var/lib/torpor/location", LOCATION.replace("1", "2").encode()),
        Level.PROBLEM,
        "holds an older /var/lib/torpor/location",
        "update-initramfs",
    ),
    "wrong order": (
        stock_first,
        Level.WARNING,
        f"{IMAGE} runs the stock resume before Torpor's",
        "update-initramfs",
    ),
    "not run": (
        with_member("scripts/local-premount/ORDER", b"/scripts/local-premount/resume\n"),
        Level.PROBLEM,
        f"{IMAGE} holds the resumer but does not run it",
        "update-initramfs",
    ),
    "no cryptsetup": (
        lambda fake: fake.mapped("swap_crypt", LUKS),
        Level.PROBLEM,
        f"{IMAGE} has no cryptsetup to open swap_crypt",
        "cryptsetup-initramfs",
    ),
    "LUKS not opened": (
        on_luks,
        Level.PROBLEM,
        f"nothing tells {IMAGE} to open swap_crypt",
        "crypttab",
    ),
    "no lvm": (
        lambda fake: fake.mapped("vg-swap", LVM),
        Level.PROBLEM,
        f"{IMAGE} has no lvm to activate vg-swap",
        "lvm2",
    ),
    "graphics": (gpu, Level.WARNING, "holds the graphics driver amdgpu", "early KMS"),
    "RESUME= of nothing": (
        both(
            written("/etc/initramfs-tools/conf.d/resume", "RESUME=UUID=beef\n"),
            written("/etc/initramfs-tools/initramfs.conf", "RESUME=none\n"),
        ),
        Level.WARNING,
        "RESUME=UUID=beef is not there",
        "update-initramfs -u",
    ),
    "a pool of ZFS": (
        written("/proc/spl/kstat/zfs/tank/state", "ONLINE\n"),
        Level.PROBLEM,
        "the pool tank is imported",
        "zpool export tank",
    ),
    "HibernateLocation": (
        written(EFI_VARIABLE, "x"),
        Level.WARNING,
        "the EFI variable HibernateLocation is left",
        "chattr -i",
    ),
    "no drop-in": (
        removed("/etc/systemd/system/systemd-hibernate.service.d/torpor.conf"),
        Level.WARNING,
        "systemctl hibernate does not use Torpor",
        "torpor enable",
    ),
    "another drop-in wins": (
        written(
            "/etc/systemd/system/systemd-hibernate.service.d/zz.conf",
            "[Service]\nExecStart=\nExecStart=/bin/other\n",
        ),
        Level.WARNING,
        "systemctl hibernate does not use Torpor",
        "take ExecStart= out of /etc/systemd/system/systemd-hibernate.service.d/zz.conf",
    ),
    "masked": (
        lambda fake: fake.link("/etc/systemd/system/hibernate.target", "/dev/null"),
        Level.WARNING,
        "hibernate.target is masked",
        "systemctl unmask",
    ),
    "forbidden": (
        written("/etc/systemd/sleep.conf.d/50.conf", "[Sleep]\nAllowHibernation=no\n"),
        Level.WARNING,
        "AllowHibernation=no",
        "take that line out",
    ),
    "logind": (
        removed("/etc/systemd/system/systemd-logind.service.d/torpor.conf"),
        Level.WARNING,
        "logind may refuse systemctl hibernate: it looks for room in swap only",
        "torpor enable",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_found_and_nothing_else(name: str, fake: FakeMachine) -> None:
    spoil, level, message, remedy = FAULTS[name]
    spoil(fake)
    (finding,) = bad(fake)
    assert finding.level == level
    assert message in finding.message
    assert remedy in finding.remedy


def test_faults_have_messages_of_their_own() -> None:
    messages = {message for _, _, message, _ in FAULTS.values()}
    assert len(messages) >= len(FAULTS) - 1  # of the two about the drop-in
