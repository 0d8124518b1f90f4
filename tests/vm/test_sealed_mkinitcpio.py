"""Sealed images of a guest that boots our hook for mkinitcpio: the console asks, if anything."""

import time

import pytest

from tests.conftest import HIBERNATED
from tests.tools import ROOT
from tests.vm.conftest import SWAP_PARTITION_MIB, Guests, Recorder
from tests.vm.cuts import refusals
from tests.vm.sealed_lives import (
    ASKS_PASSPHRASE,
    ASKS_PIN,
    LATE_SECONDS,
    LIMIT_SECONDS,
    resume,
    seal,
)
from tests.vm.test_sealed import put_back
from tests.vm.whole_lives import hibernated_row, use_swap
from vm.disks import copy_disks, partitioned_swap_disk
from vm.lives import Guest
from vm.mkinitcpio import RUNS_HOOK, MkinitcpioGuest
from vm.tpm import Tpm

pytestmark = [pytest.mark.vm, pytest.mark.long]

STAND_IN = ROOT / "tests/initramfs/mkinitcpio.bash"


def test_every_key(guests: Guests, record_property: Recorder) -> None:
    """A PIN; the TPM alone, which asks nothing; by another TPM the passphrase, or nothing."""
    guest = machine(guests)
    seal(guest, "tpm2+pin", "passphrase")
    assert RUNS_HOOK in guest.console
    guest.hibernate()
    resume(guest, ASKS_PIN)
    guest.run("torpor key add tpm2")
    guest.hibernate()
    resume(guest)
    took = dict(guest.seconds)
    record_property(HIBERNATED, hibernated_row(guest, "12", "mkinitcpio", "swap, sealed", took))
    guest.hibernate()
    disks = [guest.root, *guest.disks]
    kept = copy_disks(disks, guests.folder / "kept")
    guest.tpm = Tpm(guests.folder / "other")
    refusal = decline(guest)
    assert "the TPM" in refusal
    assert "no passphrase was typed that opens it" in refusal
    put_back(guest, kept, disks)
    resume(guest, ASKS_PASSPHRASE)
    assert RUNS_HOOK in guest.console
    guest.power_off()


def machine(guests: Guests) -> MkinitcpioGuest:
    """Return a guest that runs, with swap on a partition."""
    disk = guests.folder / "swap.img"
    name = partitioned_swap_disk(disk, SWAP_PARTITION_MIB)
    plain = guests.make("initramfs-tools-tpm2", "6.1", [disk], suite="12")
    guest = MkinitcpioGuest(
        plain.installed,
        plain.folder,
        [disk],
        limit=LIMIT_SECONDS,
        tpm=plain.tpm,
        stand_in=STAND_IN,
    )
    guests.made.append(guest)
    guest.boot()
    use_swap(guest, name, "sw,nofail")
    return guest


def decline(guest: Guest) -> str:
    """Boot, and type nothing where the passphrase is asked for; return why it boots cold."""
    running = guest.power_on()
    running.wait_console(ASKS_PASSPHRASE)
    time.sleep(LATE_SECONDS)
    running.send(b"\n")
    running.wait_console(r"agent\.service")
    (refusal,) = refusals(guest)
    return refusal
