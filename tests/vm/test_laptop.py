"""A laptop: UEFI, GRUB from its own NVMe disk, root and swap on LVM in LUKS.

The guest rebuilds its initramfs itself, as a user has it done, and the passphrase is typed.
"""

from collections.abc import Callable

import pytest

from tests.conftest import HIBERNATED
from tests.vm.conftest import Guests
from vm.laptop import LaptopGuest

pytestmark = [pytest.mark.vm, pytest.mark.long]

INSTALL = "dpkg -i --no-triggers /boot/torpor_*.deb"
"""Without the generator, which torpor enable runs: it takes minutes."""
VARIABLES = "/sys/firmware/efi/efivars"
LOCATION = f"{VARIABLES}/HibernateLocation-8cf2644b-4b0b-428f-9387-6d876050dc67"


def levels(said: str) -> set[str]:
    """Return the words with which the doctor's findings begin."""
    return {line.split()[0] for line in said.splitlines() if not line.startswith(" ")}


def hibernate_and_resume(guest: LaptopGuest) -> None:
    """It is the same life, the root was not mounted meanwhile, and nothing is left to mislead."""
    guest.hibernate()
    guest.resume()
    assert guest.same_life()
    assert "resumed" in guest.run("torpor status").output
    assert guest.run(f"test ! -e {LOCATION}", check=False).status == 0


def test_grub(guests: Guests, record_property: Callable[[str, object], None]) -> None:
    guest = guests.laptop()
    guest.boot()
    guest.run(INSTALL)
    assert "torpor enable" in guest.run("torpor doctor", check=False).output
    guest.run("torpor enable")
    sound = guest.run("torpor doctor")
    assert levels(sound.output) == {"ok"}, sound.output
    hibernate_and_resume(guest)
    record_property(HIBERNATED, hibernated(guest, "GRUB"))
    guest.power_off()


def hibernated(guest: LaptopGuest, loader: str) -> tuple[str, ...]:
    """Return the row of the table of hibernations."""
    seconds = dict(guest.seconds)
    figures = [f"{seconds[what]:.0f}" for what in ("boot", "hibernate", "resume")]
    return ("initramfs-tools", f"swap on LVM on LUKS, {loader}", "6.12", *figures)
