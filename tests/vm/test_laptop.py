"""A laptop: UEFI, GRUB or systemd-boot from its own NVMe disk, root and swap on LVM in LUKS.

The guest rebuilds its initramfs itself, as a user has it done, and the passphrase is typed.
"""

import re
from collections.abc import Callable

import pytest

from tests.conftest import HIBERNATED
from tests.vm.conftest import LAPTOP_SUITE, Guests
from tests.vm.whole_lives import hibernate_and_resume, see_doctor_content
from vm.laptop import LaptopGuest

pytestmark = [pytest.mark.vm, pytest.mark.long]

UNREADY = 16
INSTALL = "dpkg -i --no-triggers /boot/torpor_*.deb"
"""Without the generator, which torpor enable runs: it takes minutes."""
VARIABLES = "/sys/firmware/efi/efivars"
LOCATION = f"{VARIABLES}/HibernateLocation-8cf2644b-4b0b-428f-9387-6d876050dc67"
LINUX = "/boot/efi/EFI/Linux"
COMMAND_LINE = "root=/dev/mapper/debian--vg-root ro console=ttyS0"
TO_UKI = [
    "mkdir -p /etc/kernel && echo layout=uki >/etc/kernel/install.conf",
    f"echo '{COMMAND_LINE}' >/etc/kernel/cmdline",
    "bootctl install",
]
"""From now on the hooks of Debian have kernel-install make a unified kernel image, when the
initramfs is made anew, and the firmware starts systemd-boot."""


def resume_and_leave_nothing(guest: LaptopGuest) -> None:
    """Nothing is left in the firmware to mislead a later boot."""
    hibernate_and_resume(guest)
    assert guest.run(f"test ! -e {LOCATION}", check=False).status == 0


def test_grub(guests: Guests, record_property: Callable[[str, object], None]) -> None:
    guest = guests.laptop()
    guest.boot()
    guest.run(INSTALL)
    assert "torpor enable" in guest.run("torpor doctor", check=False).output
    guest.run("torpor enable")
    see_doctor_content(guest)
    resume_and_leave_nothing(guest)
    record_property(HIBERNATED, hibernated(guest, "GRUB"))
    guest.power_off()


def test_unified_kernel_image(
    guests: Guests, record_property: Callable[[str, object], None]
) -> None:
    """The doctor looks into the image that was booted, whatever lies in /boot beside it."""
    guest = guests.laptop()
    guest.boot()
    for command in (INSTALL, *TO_UKI):
        guest.run(command)
    guest.run("torpor enable")
    guest.power_off()
    guest.boot()
    assert guest.run(f"ls {VARIABLES}/StubInfo-*").output
    sound = see_doctor_content(guest)
    (image,) = guest.run(f"ls {LINUX}/*.efi").output.split()
    assert f"{image} holds the resumer" in sound
    resume_and_leave_nothing(guest)
    record_property(HIBERNATED, hibernated(guest, "UKI"))
    guest.run(f"truncate -s 25M {image}")
    broken = guest.run("torpor doctor", check=False)
    assert broken.status == UNREADY, broken.output
    assert re.search(rf"^PROBLEM .*{re.escape(image)}", broken.output, re.MULTILINE), broken.output


def hibernated(guest: LaptopGuest, loader: str) -> tuple[str, ...]:
    """Return the row of the table of hibernations."""
    seconds = dict(guest.seconds)
    figures = [f"{seconds[what]:.0f}" for what in ("boot", "hibernate", "resume")]
    release = guest.installed.kernel.release.removesuffix("-amd64")
    place = f"swap on LVM on LUKS, {loader}"
    return (LAPTOP_SUITE, release, "initramfs-tools", place, *figures)
