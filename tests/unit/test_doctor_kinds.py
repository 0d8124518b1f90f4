"""Sound machines of every kind are only ok; what is special to each kind is seen."""

import builtins
import os
from collections.abc import Callable
from functools import partial

import pytest

from tests.forge import SWAP, USER
from tests.unit.boot_layouts import kernel
from tests.unit.fake_initramfs import Link
from tests.unit.fake_machine import IMAGE, NEEDS, RELEASE, FakeMachine, header
from tests.unit.fake_root import FILE_PAGE
from tests.unit.faulty_layers import home_on_ufs
from torpor.doctor.examine import examine
from torpor.doctor.finding import Level

DASHED = "08150815-0815-0815-0815-081508150815"
LUKS = f"CRYPT-LUKS2-{DASHED.replace('-', '')}-swap_crypt"
ROOT_UUID = "aaaaaaaa-0000-0000-0000-000000000000"
UNITS = "usr/lib/systemd/system"
STORE_PAGE = header(USER, b"TORPSTOR")

Change = Callable[[FakeMachine], object]


def hold(fake: FakeMachine, *names: str, data: bytes = b"x") -> None:
    fake.initramfs.update(dict.fromkeys(names, data))


def luks_in_initramfs_tools(fake: FakeMachine) -> None:
    fake.mapped("swap_crypt", LUKS)
    fake.initramfs["sbin"] = Link("usr/sbin")
    hold(fake, "usr/sbin/cryptsetup")
    hold(fake, "cryptroot/crypttab", data=b"swap_crypt /dev/sda2 none luks\n")


def luks_with_key_file(fake: FakeMachine) -> None:
    luks_in_initramfs_tools(fake)
    hold(fake, "cryptroot/crypttab", data=b"swap_crypt /dev/sda2 /cryptroot/keyfiles/a.key luks")
    hold(fake, "cryptroot/keyfiles/a.key")


def luks_on_command_line(fake: FakeMachine) -> None:
    systemd(fake)
    fake.mapped("swap_crypt", LUKS)
    hold(fake, "usr/lib/systemd/systemd-cryptsetup")
    fake.replace("/proc/cmdline", "quiet", f"rd.luks.uuid=luks-{DASHED}")


def luks_in_dracuts_cmdline(fake: FakeMachine) -> None:
    dracut(fake)
    fake.mapped("swap_crypt", LUKS)
    hold(fake, "usr/sbin/cryptsetup")
    hold(fake, "etc/cmdline.d/90crypt.conf", data=f" rd.luks.uuid={DASHED[:13]} ".encode())


def lvm(fake: FakeMachine) -> None:
    fake.mapped("vg-swap", "LVM-abc")
    hold(fake, "usr/sbin/lvm")


def store_file(fake: FakeMachine) -> None:
    fake.file("/hibernation", STORE_PAGE, 3 << 30)
    text = f"resume=UUID={ROOT_UUID}\nresume_offset={FILE_PAGE}\nstore=/hibernation\n"
    fake.write("/var/lib/torpor/location", text)
    hold(fake, "var/lib/torpor/location", data=text.encode())


def swap_file_on_command_line(fake: FakeMachine) -> None:
    fake.file("/swapfile", header(SWAP))
    fake.replace("/proc/swaps", "/dev/sda2 partition", "/swapfile file")
    words = f"resume=UUID={ROOT_UUID} resume_offset={FILE_PAGE}"
    fake.replace("/proc/cmdline", "quiet", words)
    fake.remove("/var/lib/torpor/location")
    del fake.initramfs["var/lib/torpor/location"]


def made_by(fake: FakeMachine, *programs: str) -> None:
    """Have the machine's initramfs made by another generator."""
    (fake.root / "usr/sbin/update-initramfs").unlink(missing_ok=True)
    fake.initramfs.pop("scripts/local-premount/ORDER", None)
    for program in programs:
        fake.write(program, "")


def dracut(fake: FakeMachine) -> None:
    made_by(fake, "/usr/bin/dracut")
    hooks = "usr/lib/dracut/hooks/pre-mount"
    hold(fake, f"{hooks}/05-torpor-resume.sh", f"{hooks}/10-resume.sh")


def systemd(fake: FakeMachine) -> None:
    made_by(fake, "/usr/bin/dracut", "/usr/lib/systemd/systemd")
    hold(
        fake,
        "usr/lib/dracut/modules.txt",
        "usr/lib/systemd/systemd",
        "usr/lib/systemd/system-generators/torpor-resume-generator",
        f"{UNITS}/torpor-resume.service",
        f"{UNITS}/systemd-hibernate-resume@.service",
        f"{UNITS}/systemd-hibernate-resume@.service.d/torpor.conf",
    )


def mkinitcpio(fake: FakeMachine) -> None:
    made_by(fake, "/usr/bin/mkinitcpio", "/etc/mkinitcpio.d/linux.preset")
    hold(fake, "init_functions", "hooks/torpor")
    hold(fake, "config", data=b'EARLYHOOKS="udev"\nHOOKS="udev encrypt torpor resume"\n')
    hooks = "HOOKS=(base udev block\n  encrypt torpor resume filesystems)\n"
    fake.write("/etc/mkinitcpio.conf", f"# HOOKS=(systemd)\n{hooks}")


def mkinitcpio_after_enable(fake: FakeMachine) -> None:
    mkinitcpio(fake)
    fake.write("/etc/mkinitcpio.conf", "HOOKS=(base udev block encrypt filesystems)")
    fake.write("/etc/mkinitcpio.conf.d/torpor.conf", "HOOKS+=(torpor)")


def mkinitcpio_with_systemd(fake: FakeMachine) -> None:
    systemd(fake)
    made_by(fake, "/usr/bin/mkinitcpio", "/etc/mkinitcpio.d/linux.preset")
    fake.remove("/usr/bin/dracut")
    del fake.initramfs["usr/lib/dracut/modules.txt"]
    hold(fake, "init_functions", "config")
    fake.write("/etc/mkinitcpio.conf", "HOOKS=(base systemd sd-encrypt lvm2 sd-torpor)")


def image_elsewhere(fake: FakeMachine) -> None:
    fake.write(f"/lib/modules/{RELEASE}/pkgbase", "linux\n")
    fake.machine()
    os.rename(fake.root / f"boot/initrd.img-{RELEASE}", fake.root / "boot/initramfs-linux.img")
    fake.initramfs = {}


def luks_below_lvm(fake: FakeMachine) -> None:
    luks_in_initramfs_tools(fake)
    fake.replace("/sys/class/block/dm-0/dm/uuid", LUKS, "LVM-abc")
    fake.layer(1, 1 << 32, "eeee", "sda2", ("swap_crypt", LUKS))
    (fake.root / "sys/class/block/dm-0/slaves/sda2").rmdir()
    (fake.root / "sys/class/block/dm-0/slaves/dm-1").mkdir()
    hold(fake, "usr/sbin/lvm")


def home_on_luks(fake: FakeMachine) -> None:
    fake.home("home_crypt", LUKS.replace("swap", "home"))
    hold(fake, "usr/sbin/cryptsetup")
    hold(fake, "cryptroot/crypttab", data=b"home_crypt /dev/sda1 none luks,initramfs\n")


SOUND: list[Change] = [
    home_on_luks,
    luks_in_initramfs_tools,
    luks_with_key_file,
    luks_on_command_line,
    luks_in_dracuts_cmdline,
    luks_below_lvm,
    lvm,
    store_file,
    swap_file_on_command_line,
    dracut,
    systemd,
    mkinitcpio,
    mkinitcpio_after_enable,
    mkinitcpio_with_systemd,
    image_elsewhere,
]


@pytest.mark.parametrize("change", SOUND, ids=lambda change: change.__name__)
def test_sound_machines(change: Change, fake: FakeMachine) -> None:
    change(fake)
    assert fake.complaints() == []


def test_store_is_named_with_its_kind(fake: FakeMachine) -> None:
    store_file(fake)
    messages = [finding.message for finding in fake.examine()]
    assert "the store is /hibernation, a store file" in messages
    assert "logind allows systemctl hibernate, and leaves the check for room to Torpor" in messages


@pytest.mark.parametrize(
    ("kind", "gone", "message"),
    [
        (systemd, f"{UNITS}/torpor-resume.service", "torpor-resume.service, which starts it"),
        (
            systemd,
            "usr/lib/systemd/system-generators/torpor-resume-generator",
            "torpor-resume-generator, which starts it",
        ),
        (
            systemd,
            f"{UNITS}/systemd-hibernate-resume@.service.d/torpor.conf",
            "does not order systemd-hibernate-resume@.service behind Torpor",
        ),
        (dracut, "usr/lib/dracut/hooks/pre-mount/05-torpor-resume.sh", "no hook in pre-mount"),
        (luks_below_lvm, "usr/sbin/lvm", "no lvm to activate"),
        (luks_below_lvm, "usr/sbin/cryptsetup", "no cryptsetup to open swap_crypt"),
        (luks_in_initramfs_tools, "cryptroot/crypttab", "nothing tells"),
        (home_on_luks, "cryptroot/crypttab", "to open home_crypt, on which /home lies"),
        (home_on_luks, "usr/sbin/cryptsetup", "no cryptsetup to open home_crypt, on which /home"),
        (luks_with_key_file, "cryptroot/keyfiles/a.key", "does not hold the key file /cryptroot"),
        (luks_in_dracuts_cmdline, "etc/cmdline.d/90crypt.conf", "nothing tells"),
    ],
)
def test_member_is_missing(kind: Change, gone: str, message: str, fake: FakeMachine) -> None:
    kind(fake)
    del fake.initramfs[gone]
    (found,) = fake.complaints()
    assert message in found


def test_dracut_runs_the_stock_resume_first(fake: FakeMachine) -> None:
    dracut(fake)
    hold(fake, "usr/lib/dracut/hooks/pre-mount/01-resume.sh")
    (found,) = fake.complaints()
    assert "runs the stock resume before Torpor's" in found


@pytest.mark.parametrize(
    ("built", "written", "message"),
    [
        ("udev resume torpor", "udev torpor", "runs the stock resume before Torpor's"),
        ("torpor encrypt", "udev torpor", "runs torpor before encrypt"),
        ("torpor openswap", "udev torpor", "runs torpor before openswap"),
        ("udev encrypt", "udev torpor", "no torpor among its hooks"),
        ("udev torpor", "udev encrypt", "HOOKS has no torpor, so the next"),
        ("udev torpor", "systemd torpor", "HOOKS has torpor beside systemd"),
        ("udev torpor", "systemd sd-torpor encrypt", "HOOKS has encrypt beside systemd"),
    ],
)
def test_hooks_of_mkinitcpio(built: str, written: str, message: str, fake: FakeMachine) -> None:
    mkinitcpio(fake)
    hold(fake, "config", data=f'HOOKS="{built}"\n'.encode())
    fake.write("/etc/mkinitcpio.conf", f"HOOKS=(base {written})\n")
    (found,) = fake.complaints()
    assert message in found


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("disablehooks=keymap,torpor", "torpor"),
        ("disablehooks=encrypt", "encrypt"),
        ("disablehooks=x", ""),
        ("# disablehooks=encrypt", ""),
    ],
)
def test_hooks_that_the_command_line_disables(word: str, expected: str, fake: FakeMachine) -> None:
    mkinitcpio(fake)
    fake.replace("/proc/cmdline", "quiet", word)
    message = f"{word} keeps {IMAGE} from running {expected}"
    assert fake.complaints() == ([message] if expected else [])


def test_an_encrypted_stick_may_be_taken_away(fake: FakeMachine) -> None:
    fake.home("luks-stick", LUKS.replace("swap_crypt", "luks-stick"))
    fake.replace("/proc/self/mountinfo", "/home", r"/run/media/me/my\040stick")
    hold(fake, "usr/sbin/cryptsetup")
    (found,) = fake.bad()
    assert found.remedy.startswith("before you hibernate: umount '/run/media/me/my stick'; or ")


def guarded(
    real: Callable[..., object], secret: set[str], path: str, *arguments: object, **options: object
) -> object:
    if path in secret:
        raise PermissionError(13, "Permission denied", path)
    return real(path, *arguments, **options)


def test_not_root(fake: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = fake.machine()
    secret = {machine.path("/dev/sda2"), machine.path(f"/boot/initrd.img-{RELEASE}")}
    for module, name in ((builtins, "open"), (os, "open")):
        monkeypatch.setattr(module, name, partial(guarded, getattr(module, name), secret))
    found = [one for one in examine(machine) if one.level != Level.OK]
    assert {one.message.split(" without")[0] for one in found} == {
        "cannot open /dev/sda2: permission denied",
        f"cannot read /boot/initrd.img-{RELEASE}",
    }
    assert {one.remedy for one in found} == {"run torpor doctor as root", "run this as root"}
    assert all(one.level == Level.PROBLEM for one in found)


def test_host_library_elsewhere_in_the_image(fake: FakeMachine) -> None:
    """dracut puts a library where its own search finds it first."""
    hold(fake, "usr/lib64/libc.so.6")
    del fake.initramfs["usr/lib/x86_64-linux-gnu/libc.so.6"]
    assert fake.complaints() == []
    hold(fake, "usr/lib/elsewhere/base_library.zip")
    del fake.initramfs[NEEDS[1].lstrip("/")]
    (found,) = fake.complaints()
    assert f"lacks {NEEDS[1]}, which" in found


def test_location_only_in_the_image(fake: FakeMachine) -> None:
    fake.remove("/var/lib/torpor/location")
    assert fake.complaints()[-1] == f"torpor enable will rebuild {IMAGE}"


@pytest.mark.parametrize(
    "path",
    [
        "/boot/vmlinuz-6.6-x86_64",
        "/boot/vmlinuz-6.1.0-56-amd64.dpkg-bak",
        "/boot/vmlinuz-0-rescue-0123",
        "/lib/modules/6.1.0-57-amd64/updates/dkms/left.ko",
        "/lib/modules/6.1.0-56-amd64.old/vmlinuz",
        "/lib/modules/6.1.0-9-amd64/vmlinuz",
        "/lib/modules/6.1-rc7/vmlinuz",
    ],
)
def test_what_is_no_newer_kernel(path: str, fake: FakeMachine) -> None:
    fake.write(path, "")
    assert fake.complaints() == []


@pytest.mark.parametrize(("build", "is_it"), [("#", True), ("# 2", False)])
def test_a_kernel_that_was_built_anew(build: str, fake: FakeMachine, *, is_it: bool) -> None:
    """With the release that it had: its own, or by a distribution's update."""
    path = f"/boot/vmlinuz-{RELEASE}"
    fake.write(path, kernel(RELEASE))
    fake.write("/proc/sys/kernel/version", f"{build}\n")
    message = f"{path} is another build of the running {RELEASE}"
    assert [one.partition(":")[0] for one in fake.complaints()] == ([] if is_it else [message])


def test_what_something_unknown_opens(fake: FakeMachine) -> None:
    fake.mapped("swap", "")
    fake.home("stratis-1-a", "stratis-1-a")
    assert [(one.level, one.message) for one in fake.bad()] == [
        (Level.WARNING, "what opens swap, on which the store lies, is unknown"),
        (Level.WARNING, "what opens stratis-1-a, on which /home lies, is unknown"),
    ]


def test_a_file_system_that_nobody_knows_may_be_allowed(fake: FakeMachine) -> None:
    home_on_ufs(fake)
    fake.write("/etc/torpor.conf", "unguarded-file-systems = ufs\n")
    assert {finding.level for finding in fake.examine()} == {Level.OK}


@pytest.mark.parametrize("there", [None, b"", b"uninitialized\n", b"a" * 32])
@pytest.mark.parametrize("is_enabled", [True, False])
def test_initramfs_that_does_not_know_this_installation(
    is_enabled: bool, there: bytes | None, fake: FakeMachine
) -> None:
    """By an older Torpor, or built in a golden image, or elsewhere: there is no id, or another."""
    if not is_enabled:
        fake.remove("/var/lib/torpor/location")
        del fake.initramfs["var/lib/torpor/location"]
    del fake.initramfs["var/lib/torpor/machine-id"]
    if there is not None:
        hold(fake, "var/lib/torpor/machine-id", data=there)
    said = [(each.level, each.message) for each in fake.bad()]
    if is_enabled:
        ((level, message),) = said
        assert level == Level.PROBLEM
        assert message.startswith(f"{IMAGE} does not hold this system's machine id")
    else:
        assert (Level.ENABLE, f"torpor enable will rebuild {IMAGE}") in said


@pytest.mark.parametrize(
    ("words", "configured", "is_nfs"),
    [
        ("root=/dev/nfs", b"", True),
        ("boot=nfs", b"", True),
        ("root=/dev/sda1", b"BOOT=nfs\n", True),
        ("root=/dev/nfs boot=local", b"", False),
        ("root=/dev/nfs", b"BOOT=local\n", False),
        ("root=/dev/sda1", b"# BOOT=nfs\n", False),
    ],
)
def test_initramfs_tools_runs_other_scripts_where_the_root_is_on_nfs(
    words: str, configured: bytes, *, is_nfs: bool, fake: FakeMachine
) -> None:
    fake.replace("/proc/cmdline", "root=/dev/sda1", words)
    hold(fake, "conf/initramfs.conf", data=b"MODULES=most\n" + configured)
    said = [finding.message for finding in fake.bad()]
    assert any("not in scripts/nfs-premount/ORDER" in each for each in said) == is_nfs, said
    hold(fake, "scripts/nfs-premount/ORDER", data=b'/scripts/nfs-premount/0torpor "$@"\n')
    assert not any("is not in scripts" in finding.message for finding in fake.bad())
