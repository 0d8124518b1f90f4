"""Under real firmware: HibernateLocation, and a laptop that GRUB or systemd-boot starts.

The laptop has root and swap on LVM in LUKS. The guest rebuilds its initramfs itself, as a user has
it done, and the passphrase is typed.
"""

import re
from pathlib import Path

import pytest

from linux.efivar import FOLDER, HIBERNATE_LOCATION
from tests.conftest import HIBERNATED
from tests.vm.conftest import LAPTOP_SUITE, SWAP_PARTITION_MIB, Guests, Recorder
from tests.vm.whole_lives import (
    enable,
    hibernate_and_resume,
    hibernated_row,
    see_doctor_content,
    use_swap,
)
from vm.disks import blank_disk, partitioned_swap_disk
from vm.laptop import LaptopGuest
from vm.uefi import UefiGuest

LIMIT_SECONDS = 1500
IS_SET = f'test -n "$(od -An -tx1 {FOLDER}/{HIBERNATE_LOCATION} 2>/dev/null)"'
"""A restored kernel shows the files of its last life; those of no variable have no bytes."""


def is_set(guest: UefiGuest) -> bool:
    """Return whether the running system sees the variable."""
    return guest.run(IS_SET, check=False).status == 0


def made(guests: Guests, disks: list[Path]) -> UefiGuest:
    """Return a guest whose initramfs has no systemd."""
    plain = guests.make("initramfs-tools", "6.12", disks, suite="13")
    guest = UefiGuest(plain.installed, plain.folder, disks, limit=LIMIT_SECONDS)
    guests.made.append(guest)
    return guest


def test_hibernate_location(guests: Guests) -> None:
    """It names the store while we are off, and swap where systemd hibernates by the kernel.

    In the store is nothing then: the resumer knows of the image by the firmware only.
    """
    swap, store = guests.folder / "swap.img", guests.folder / "store.img"
    uuid = partitioned_swap_disk(swap, SWAP_PARTITION_MIB)
    guest = made(guests, [swap, blank_disk(store, SWAP_PARTITION_MIB)])
    guest.boot()
    use_swap(guest, uuid)
    guest.run("torpor mkstore /dev/vdc")
    enable(guest, "--store /dev/vdc")
    guest.boot_rebuilt()
    assert not guest.has_written(HIBERNATE_LOCATION)
    guest.hibernate()
    assert guest.has_written(HIBERNATE_LOCATION)
    guest.resume()
    assert guest.same_life()
    assert not is_set(guest)
    hibernate_and_resume(guest, by="/usr/lib/systemd/systemd-sleep hibernate")
    assert not is_set(guest)


pytestmark = [pytest.mark.vm, pytest.mark.long]

UNREADY = 16
INSTALL = "dpkg -i --no-triggers /boot/torpor_*.deb"
"""Without the generator, which torpor enable runs: it takes minutes."""
LINUX = "/boot/efi/EFI/Linux"
COMMAND_LINE = "root=/dev/mapper/debian--vg-root ro console=ttyS0"
TO_UKI = [
    "mkdir -p /etc/kernel && echo layout=uki >/etc/kernel/install.conf",
    f"echo '{COMMAND_LINE}' >/etc/kernel/cmdline",
    "bootctl install",
]
"""From now on the hooks of Debian have kernel-install make a unified kernel image, when the
initramfs is rebuilt, and the firmware starts systemd-boot."""


def resume_and_leave_nothing(guest: LaptopGuest) -> None:
    """Nothing is left in the firmware to mislead a later boot."""
    hibernate_and_resume(guest)
    assert guest.run(f"test ! -e {FOLDER}/{HIBERNATE_LOCATION}", check=False).status == 0


def row_of(guest: LaptopGuest, loader: str) -> tuple[str, ...]:
    place = f"swap on LVM on LUKS, {loader}"
    return hibernated_row(guest, LAPTOP_SUITE, "initramfs-tools", place, dict(guest.seconds))


def test_grub(guests: Guests, record_property: Recorder) -> None:
    guest = guests.laptop()
    guest.boot()
    guest.run(INSTALL)
    assert "torpor enable" in guest.run("torpor doctor", check=False).output
    guest.run("torpor enable")
    see_doctor_content(guest)
    resume_and_leave_nothing(guest)
    record_property(HIBERNATED, row_of(guest, "GRUB"))
    guest.power_off()


def test_unified_kernel_image(guests: Guests, record_property: Recorder) -> None:
    """The doctor looks into the image that was booted, whatever lies in /boot beside it."""
    guest = guests.laptop()
    guest.boot()
    for command in (INSTALL, *TO_UKI):
        guest.run(command)
    guest.run("torpor enable")
    guest.power_off()
    guest.boot()
    assert guest.run(f"ls {FOLDER}/StubInfo-*").output
    sound = see_doctor_content(guest)
    (image,) = guest.run(f"ls {LINUX}/*.efi").output.split()
    assert f"{image} holds the resumer" in sound
    resume_and_leave_nothing(guest)
    record_property(HIBERNATED, row_of(guest, "UKI"))
    guest.run(f"truncate -s 25M {image}")
    broken = guest.run("torpor doctor", check=False)
    assert broken.status == UNREADY, broken.output
    assert re.search(rf"^PROBLEM .*{re.escape(image)}", broken.output, re.MULTILINE), broken.output
