"""What is lost when the machine is off is no place for an image, below any layers."""

from pathlib import Path

import pytest

from errors import StoreRefusedError
from linux import stack
from store import crypttab
from store.locate import whole_devices
from store.place import refuse_volatile
from tests.unit.fake_root import FakeRoot, add_device


class Machine(FakeRoot):
    """Block devices on top of others, and a crypttab."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self.folder = folder
        self._count = 0
        self.top = ""

    def add(self, name: str, *below: str, dm: tuple[str, str] = ("", "")) -> None:
        """Add a device; the last one added is `top`."""
        self._count += 1
        add_device(self.folder, name, f"8:{self._count}", 4096)
        folder = self.folder / "sys/class/block"
        for other in below:
            (folder / name / "slaves" / other).mkdir()
            (folder / other / "holders" / name).mkdir(parents=True)
        if dm[0]:
            (folder / name / "dm").mkdir()
            (folder / name / "dm/name").write_text(f"{dm[0]}\n")
            (folder / name / "dm/uuid").write_text(f"{dm[1]}\n")
        self.top = f"/dev/{name}"

    def crypttab(self, text: str) -> None:
        (self.folder / "etc").mkdir(exist_ok=True)
        (self.folder / crypttab.PATH[1:]).write_text(text)

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
    machine.add("sda2")
    machine.check()
    machine.add("dm-0", "sda2", dm=("crypt", "CRYPT-LUKS2-0123-crypt"))
    machine.add("dm-1", "dm-0", dm=("vg-swap", "LVM-abc"))
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
    machine.add(name)
    assert machine.refused().startswith(f"/the/store is {what}, which")
    machine.add("dm-0", name, dm=("vg-swap", "LVM-abc"))
    assert what in machine.refused()


@pytest.mark.parametrize("key", ["/dev/urandom", "/dev/random"])
def test_random_key_does_not_below_any_layer(key: str, machine: Machine) -> None:
    machine.crypttab(f"# a note\nother /dev/sda9 none luks\ncs /dev/sda2 {key} swap\n")
    machine.add("sda2")
    machine.add("dm-0", "sda2", dm=("cs", "CRYPT-PLAIN-cs"))
    assert "a new random key at each boot (cs in" in machine.refused()
    machine.add("dm-1", "dm-0", dm=("vg-swap", "LVM-abc"))
    assert "a new random key" in machine.refused()


def test_plain_key_that_stays_lasts(machine: Machine) -> None:
    machine.crypttab("cs /dev/sda2 /root/key plain\npass /dev/sda3\n")
    machine.add("sda2")
    machine.add("dm-0", "sda2", dm=("cs", "CRYPT-PLAIN-cs"))
    machine.check()
    machine.add("dm-1", "sda2", dm=("pass", "CRYPT-PLAIN-pass"))
    machine.check()


def test_plain_key_that_nobody_knows_does_not(machine: Machine) -> None:
    machine.add("dm-0", dm=("cs", "CRYPT-PLAIN-cs"))
    assert "does not name (cs)" in machine.refused()


def test_devices_to_look_at(machine: Machine) -> None:
    """Neither memory nor files nor what another layer holds."""
    for name in ("zram0", "ram0", "loop0", "sr0", "fd0", "sda", "sda1"):
        machine.add(name)
    machine.add("dm-0", "sda1", dm=("crypt", "CRYPT-LUKS2-0123-crypt"))
    machine.add("cciss!c0d0")
    machine.add("gone")
    (machine.folder / "dev/gone").unlink()
    assert whole_devices(machine) == ["/dev/cciss/c0d0", "/dev/dm-0", "/dev/sda"]
