"""Sealed images of Debian guests with a TPM: what opens them, and what does not."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from format import PAGE_SIZE
from format.mark import Mark
from format.records import Superblock
from seal import recipients
from seal.opening import Opening
from seal.recipients import ToPassphrase
from tests.conftest import HIBERNATED
from tests.unit.sealing import Typist
from tests.vm.conftest import SWAP_PARTITION_MIB, Guests, Recorder
from tests.vm.cuts import refusals
from tests.vm.places import PLACES
from tests.vm.sealed_lives import (
    ASKS_PASSPHRASE,
    ASKS_PIN,
    LIMIT_SECONDS,
    PASSPHRASE,
    MachineKind,
    boot_cold,
    machine,
    resume,
    seal,
)
from tests.vm.whole_lives import check_resumed, hibernated_row, use_swap
from vm.debian import SEALING
from vm.disks import PARTITION_START, copy_disk, copy_disks, partitioned_swap_disk
from vm.lives import ASKS, Guest
from vm.machine import RunningMachine
from vm.tpm import Tpm
from vm.uefi import UefiGuest

pytestmark = pytest.mark.vm

MACHINES: list[MachineKind] = [
    (generator, suite, series)
    for suite, series in (("12", "6.1"), ("13", "6.12"))
    for generator in SEALING
]


def test_the_tpm_opens_it(guests: Guests, record_property: Recorder) -> None:
    """What runs without --long, besides the newcomer on Debian 12: dracut, and a store file."""
    generator, suite, series = ("dracut-tpm2", "13", "6.12")
    guest = guests.make(generator, series, suite=suite)
    guest.boot()
    guest.run("torpor mkstore --size 512M /store")
    seal(guest, "tpm2", store="/store")
    guest.hibernate()
    resume(guest)
    row = hibernated_row(guest, suite, generator, "store file, sealed", dict(guest.seconds))
    record_property(HIBERNATED, row)


@pytest.mark.long
@pytest.mark.parametrize("kind", MACHINES, ids="-".join)
def test_every_key(kind: MachineKind, guests: Guests, record_property: Recorder) -> None:
    """The TPM and a PIN; the TPM alone, which asks nothing; by another TPM, the passphrase."""
    guest = machine(kind, guests)
    seal(guest, "tpm2+pin", "passphrase")
    guest.hibernate()
    resume(guest, ASKS_PIN)
    guest.run("torpor key add tpm2")
    guest.hibernate()
    resume(guest)
    record_property(
        HIBERNATED, hibernated_row(guest, kind[1], kind[0], "swap, sealed", dict(guest.seconds))
    )
    guest.hibernate()
    guest.tpm = Tpm(guests.folder / "other")
    resume(guest, ASKS_PASSPHRASE)
    guest.power_off()


@pytest.mark.long
def test_no_other_tpm_and_no_copy(guests: Guests) -> None:
    """Of one image: boots of other machines, of this one with a cleared TPM, and of a copy."""
    guest = machine(MACHINES[0], guests)
    tpm = guest.tpm
    assert tpm is not None
    seal(guest, "tpm2")
    guest.hibernate()
    disks = [guest.root, *guest.disks]
    kept = copy_disks(disks, guests.folder / "kept")
    cleared = Tpm(shutil.copytree(tpm.folder, guests.folder / "cleared"))
    cleared.ask("tpm2_clear", "-c", "platform")
    for other, reason in (
        (None, "the memory lies elsewhere"),  # that is where the TPM's log would be
        (Tpm(guests.folder / "other"), "the TPM"),
        (cleared, "the TPM"),
    ):
        guest.tpm = other
        assert reason in boot_cold(guest)
        put_back(guest, kept, disks)
    guest.tpm = tpm
    resume(guest)
    put_back(guest, kept, disks)
    assert "it is a copy of one that was restored" in boot_cold(guest)


@pytest.mark.long
def test_an_image_that_was_hidden_from_one_boot(guests: Guests) -> None:
    """The system that this boot starts has the TPM count."""
    guest = machine(MACHINES[0], guests)
    seal(guest, "tpm2", "passphrase")
    guest.hibernate()
    disks = [guest.root, *guest.disks]
    kept = copy_disks(disks, guests.folder / "kept")
    hidden, guest.disks = guest.disks, []
    assert "did not appear" in boot_cold(guest)
    counted = "journalctl -b -u torpor-stale.service | grep 'the TPM has counted'"
    guest.run(f"for _ in $(seq 60); do {counted} && exit; sleep 1; done; exit 1")
    assert guest.run("systemctl --failed --no-legend").output == ""
    guest.disks = hidden
    put_back(guest, kept, disks)
    assert "it is a copy of one that was restored" in boot_cold(guest)


def put_back(guest: Guest, kept: list[Path], disks: list[Path]) -> None:
    """Cut the power, and have the disks be as they were."""
    guest.kill()
    for one, disk in zip(kept, disks, strict=True):
        copy_disk(one, disk)


@pytest.mark.long
def test_what_was_booted_has_changed(guests: Guests) -> None:
    """The firmware's registers tell; by the passphrase the image is still opened."""
    guest = uefi_guest(guests)
    seal(guest, "tpm2")
    guest.hibernate()
    disks = [guest.root, *guest.disks]
    kept = copy_disks(disks, guests.folder / "kept")
    guest.append = "init=/bin/sh"
    guest.power_on().wait_console("torpor-resume: not resuming")
    (refusal,) = refusals(guest)
    assert "measured" in refusal
    guest.append = ""
    put_back(guest, kept, disks)
    resume(guest)


def uefi_guest(guests: Guests) -> UefiGuest:
    """Return a guest that runs, whose firmware measures kernel, initramfs and command line."""
    disk = guests.folder / "swap.img"
    name = partitioned_swap_disk(disk, SWAP_PARTITION_MIB)
    plain = guests.make("initramfs-tools-tpm2", "6.12", [disk], suite="13")
    guest = UefiGuest(plain.installed, plain.folder, [disk], limit=LIMIT_SECONDS, tpm=plain.tpm)
    guests.made.append(guest)
    guest.boot()
    use_swap(guest, name, "sw,nofail")
    return guest


@pytest.mark.long
def test_key_file_of_an_encrypted_root(guests: Guests) -> None:
    """The boot opens the root anyway; there is no other question."""
    guest = guests.laptop()
    guest.boot()
    guest.run("dpkg -i --no-triggers /boot/torpor_*.deb")
    guest.run("torpor enable --seal keyfile=/etc/torpor.key")
    guest.power_off()
    guest.boot()
    guest.hibernate()
    resume(guest)
    guest.power_off()


@pytest.mark.long
def test_one_question_for_luks_and_the_image(guests: Guests) -> None:
    """Where the two passphrases are the same, and systemd asks for them."""
    (place,) = (each for each in PLACES if each.passphrase)
    disk = guests.folder / "luks.img"
    place.disk(disk)
    plain = guests.make("dracut-tpm2", "6.12", [disk], suite="13")
    guest = LockedGuest(plain.installed, plain.folder, [disk], limit=LIMIT_SECONDS)
    guests.made.append(guest)
    guest.append = "torpor.timeout=120"  # on a busy host LUKS is found after more than ten seconds
    guest.boot()
    place.make(guest, "/dev/vdb")
    guest.passphrase = place.passphrase
    seal(guest, "passphrase", typed=place.passphrase)
    guest.hibernate()
    guest.resume()
    check_resumed(guest)
    assert ASKS_PASSPHRASE not in guest.console
    guest.power_off()


@dataclass(slots=True)
class LockedGuest(Guest):
    """A guest that asks for the passphrase of LUKS at each boot, once it has one."""

    passphrase: str = ""

    def power_on(self, name: str = "boot") -> RunningMachine:
        """Power on, and unlock the disk."""
        running = Guest.power_on(self, name)
        if self.passphrase:
            running.wait_console(ASKS)
            running.send(f"{self.passphrase}\n".encode())
        return running


@pytest.mark.long
def test_neither_key_nor_memory_on_the_disk(guests: Guests) -> None:
    guest = machine(("dracut-tpm2", "13", "6.12"), guests)
    seal(guest, "passphrase")
    memory = bytes.fromhex(guest.run("od -An -v -tx1 -N64 -j40960 /run/agent/data").output)
    assert len(memory) == 64
    guest.hibernate()
    disk = guest.disks[0].read_bytes()
    sender, key, wrapped = sealed_by(disk[PARTITION_START:])
    assert sender in disk
    assert wrapped in disk
    assert memory not in disk
    resume(guest, ASKS_PASSPHRASE)
    guest.power_off()
    for each in (guest.root, *guest.disks):
        disk = each.read_bytes()
        assert not [one for one in (memory, key, wrapped) if one in disk], each


def sealed_by(partition: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the sender of the image in swap, its key, and the key's wrapping."""
    mark = Mark.parse(partition[:PAGE_SIZE])
    assert mark
    assert mark.header_page
    at = mark.header_page * PAGE_SIZE
    superblock = Superblock.parse(partition[at : at + PAGE_SIZE])
    assert superblock.seal
    opening = Opening(Typist(PASSPHRASE.encode()), lambda _: None, print)
    key = opening.key(superblock)
    (to,) = recipients.parse(superblock.seal.recipients)
    assert isinstance(to, ToPassphrase)
    return superblock.seal.sender, bytes(key.secret), to.wrapped.secret
