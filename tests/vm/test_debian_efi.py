"""HibernateLocation under real firmware: what writes it, what follows it, and when it is gone."""

import shutil
from dataclasses import dataclass, field, fields
from pathlib import Path

import pytest

from linux.efivar import FOLDER, HIBERNATE_LOCATION
from tests.vm.conftest import Guests
from tests.vm.whole_lives import boot_rebuilt
from vm.disks import blank_disk, partitioned_swap_disk
from vm.laptop import FIRMWARE, VARIABLES
from vm.lives import Guest
from vm.machine import Machine, RunningMachine, started

pytestmark = [pytest.mark.vm, pytest.mark.long]

SWAP_MIB = 768
LIMIT_SECONDS = 1500
UP_SECONDS = 240.0
"""The firmware takes an emulated processor half a minute."""
IS_SET = f'test -n "$(od -An -tx1 {FOLDER}/{HIBERNATE_LOCATION} 2>/dev/null)"'
"""A restored kernel shows the files of its last life; those of no variable have no bytes."""


@dataclass(frozen=True, slots=True)
class UefiMachine(Machine):
    """A machine with UEFI, which has variables of its own, and still starts our kernel."""

    variables: Path = field(kw_only=True)

    def start(self, timeout: float) -> RunningMachine:
        """See Machine."""
        return started(self, timeout, UP_SECONDS)

    def command(self, monitor: int, channel: int) -> list[str]:
        """See Machine."""
        command = Machine.command(self, monitor, channel)
        command += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={FIRMWARE}"]
        return [*command, "-drive", f"if=pflash,unit=1,format=raw,file={self.variables}"]


@dataclass(slots=True)
class UefiGuest(Guest):
    """A Debian on such a machine."""

    @property
    def variables(self) -> Path:
        """What the firmware keeps."""
        return self.folder / "variables.fd"

    def _machine(self, log: Path) -> UefiMachine:
        made = Guest._machine(self, log)
        values = {each.name: getattr(made, each.name) for each in fields(Machine)}
        return UefiMachine(**values, variables=self.variables)

    def has_written(self) -> bool:
        """Return whether the variable was ever set: the firmware only marks what is removed."""
        name = HIBERNATE_LOCATION.partition("-")[0]
        return name.encode("utf-16-le") in self.variables.read_bytes()

    def is_set(self) -> bool:
        """Return whether the running system sees the variable."""
        return self.run(IS_SET, check=False).status == 0


def made(guests: Guests, disks: list[Path]) -> UefiGuest:
    """Return a guest whose initramfs has no systemd."""
    plain = guests.make("initramfs-tools", "6.12", disks, suite="13")
    guest = UefiGuest(plain.installed, plain.folder, disks, limit=LIMIT_SECONDS)
    shutil.copy(VARIABLES, guest.variables)
    guests.made.append(guest)
    return guest


def test_hibernate_location(guests: Guests) -> None:
    """It names the store while we are off, and swap where systemd hibernates by the kernel.

    In the store is nothing then: the resumer knows of the image by the firmware only.
    """
    swap, store = guests.folder / "swap.img", guests.folder / "store.img"
    uuid = partitioned_swap_disk(swap, SWAP_MIB)
    guest = made(guests, [swap, blank_disk(store, SWAP_MIB)])
    guest.boot()
    guest.run(f"echo UUID={uuid} none swap sw 0 0 >>/etc/fstab && systemctl daemon-reload")
    guest.rebuild_outside()
    guest.run("swapon -a && torpor mkstore /dev/vdc && torpor enable --store /dev/vdc")
    boot_rebuilt(guest)
    assert not guest.has_written()
    guest.hibernate()
    assert guest.has_written()
    guest.resume()
    assert guest.same_life()
    assert not guest.is_set()
    guest.hibernate("/usr/lib/systemd/systemd-sleep hibernate")
    guest.resume()
    assert guest.same_life()
    assert not guest.is_set()
