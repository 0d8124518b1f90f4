"""What is lost when the machine is off is no place for an image, below any layers."""

from pathlib import Path

import pytest

from errors import StoreRefusedError
from linux import stack
from store import crypttab
from store.locate import whole_devices
from store.place import refuse_volatile
from tests.unit.fake_root import Disks, write


class Machine(Disks):
    """Block devices, of which `top` was added last."""

    top = ""

    def layer(self, name: str, *below: str, dm: tuple[str, str] = ("", "")) -> None:
        """Add a device on top of others."""
        self.top = self.add(name, dm=dm)
        for other in below:
            self.stack(name, other)

    def check(self) -> None:
        refuse_volatile(self.top, "/the/store", self)

    def refused(self) -> str:
        with pytest.raises(StoreRefusedError) as caught:
            self.check()
        return str(caught.value)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_disk_luks_and_lvm_last(machine: Machine) -> None:
    machine.layer("sda2")
    machine.check()
    machine.layer("dm-0", "sda2", dm=("crypt", "CRYPT-LUKS2-0123-crypt"))
    machine.layer("dm-1", "dm-0", dm=("vg-swap", "LVM-abc"))
    machine.check()
    assert [layer.name for layer in stack.layers(machine.top, machine)] == ["dm-1", "dm-0", "sda2"]


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("zram0", "compressed memory (zram)"),
        ("ram3", "a disk in memory"),
        ("loop0", "a loop device"),
        ("loop12p1", "a loop device"),
    ],
)
def test_memory_and_files_do_not_below_any_layer(name: str, what: str, machine: Machine) -> None:
    machine.layer(name)
    assert machine.refused().startswith(f"/the/store is {what}, which")
    machine.layer("dm-0", name, dm=("vg-swap", "LVM-abc"))
    assert what in machine.refused()


@pytest.mark.parametrize("name", ["nbd0", "nbd15p2", "ublkb3"])
def test_what_this_machine_serves_itself_is_no_place(name: str, machine: Machine) -> None:
    machine.layer(name)
    assert f"on /dev/{name}, which stops when the machine is frozen" in machine.refused()
    machine.layer("dm-0", name, dm=("vg-swap", "LVM-abc"))
    assert f"on /dev/{name}," in machine.refused()


@pytest.mark.parametrize("key", ["/dev/urandom", "/dev/random"])
def test_random_key_does_not_below_any_layer(key: str, machine: Machine) -> None:
    lines = f"# a note\nother /dev/sda9 none luks\ncs /dev/sda2 {key} swap\n"
    write(machine, {crypttab.PATH: lines})
    machine.layer("sda2")
    machine.layer("dm-0", "sda2", dm=("cs", "CRYPT-PLAIN-cs"))
    assert "a new random key at each boot (cs in" in machine.refused()
    machine.layer("dm-1", "dm-0", dm=("vg-swap", "LVM-abc"))
    assert "a new random key" in machine.refused()


def test_plain_key_that_stays_lasts(machine: Machine) -> None:
    write(machine, {crypttab.PATH: "cs /dev/sda2 /root/key plain\npass /dev/sda3\n"})
    machine.layer("sda2")
    machine.layer("dm-0", "sda2", dm=("cs", "CRYPT-PLAIN-cs"))
    machine.check()
    machine.layer("dm-1", "sda2", dm=("pass", "CRYPT-PLAIN-pass"))
    machine.check()


def test_plain_key_that_nobody_knows_does_not(machine: Machine) -> None:
    machine.layer("dm-0", dm=("cs", "CRYPT-PLAIN-cs"))
    assert "does not name (cs)" in machine.refused()


def test_devices_to_look_at(machine: Machine) -> None:
    """Neither memory nor files nor what another layer holds."""
    for name in ("zram0", "ram0", "loop0", "sr0", "fd0", "sda", "sda1"):
        machine.layer(name)
    machine.layer("dm-0", "sda1", dm=("crypt", "CRYPT-LUKS2-0123-crypt"))
    machine.layer("cciss!c0d0")
    machine.layer("gone")
    (machine.folder / "dev/gone").unlink()
    assert whole_devices(machine) == ["/dev/cciss/c0d0", "/dev/dm-0", "/dev/sda"]
