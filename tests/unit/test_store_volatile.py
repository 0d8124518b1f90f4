"""A store that a power-off empties is refused, below any layers."""

import os
from pathlib import Path

import pytest

from errors import StoreRefusedError
from linux import stack
from store import crypttab, locate
from store.locate import whole_devices
from store.volatile import refuse_volatile


class Machine:
    """A /sys with block devices, and a crypttab. Nodes are files, so each has device number 0:0."""

    def __init__(self, folder: Path) -> None:
        self._sys = folder / "sys"
        self._numbers = self._sys / "dev/block"
        self._numbers.mkdir(parents=True)
        self.crypttab = folder / "crypttab"
        self.node = str(folder / "node")
        Path(self.node).touch()

    @property
    def root(self) -> str:
        return str(self._sys)

    def add(self, name: str, *below: str, dm: tuple[str, str] = ("", "")) -> None:
        """Add a device; the last one added is the one that `node` is."""
        folder = self._sys / "class/block" / name
        (folder / "slaves").mkdir(parents=True)
        (folder / "holders").mkdir()
        for other in below:
            (folder / "slaves" / other).mkdir()
            (self._sys / "class/block" / other / "holders" / name).mkdir()
        if dm[0]:
            (folder / "dm").mkdir()
            (folder / "dm/name").write_text(f"{dm[0]}\n")
            (folder / "dm/uuid").write_text(f"{dm[1]}\n")
        link = self._numbers / "0:0"
        link.unlink(missing_ok=True)
        link.symlink_to(folder)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    monkeypatch.setattr(stack, "SYSFS", made.root)
    monkeypatch.setattr(crypttab, "PATH", str(made.crypttab))
    return made


def refused(machine: Machine) -> str:
    with pytest.raises(StoreRefusedError) as caught:
        refuse_volatile(machine.node, "/the/store")
    return str(caught.value)


def test_disk_luks_and_lvm_last(machine: Machine) -> None:
    machine.add("sda2")
    refuse_volatile(machine.node, "it")
    machine.add("dm-0", "sda2", dm=("crypt", "CRYPT-LUKS2-0123-crypt"))
    machine.add("dm-1", "dm-0", dm=("vg-swap", "LVM-abc"))
    refuse_volatile(machine.node, "it")
    assert [layer.name for layer in stack.layers(machine.node)] == ["dm-1", "dm-0", "sda2"]


def test_zram_does_not(machine: Machine) -> None:
    machine.add("zram0")
    assert refused(machine).startswith("/the/store is compressed memory (zram)")
    machine.add("dm-0", "zram0", dm=("vg-swap", "LVM-abc"))
    assert "zram" in refused(machine)


@pytest.mark.parametrize("key", ["/dev/urandom", "/dev/random"])
def test_random_key_does_not_below_any_layer(key: str, machine: Machine) -> None:
    machine.crypttab.write_text(f"# a note\nother /dev/sda9 none luks\ncs /dev/sda2 {key} swap\n")
    machine.add("sda2")
    machine.add("dm-0", "sda2", dm=("cs", "CRYPT-PLAIN-cs"))
    assert "a new random key at each boot (cs in" in refused(machine)
    machine.add("dm-1", "dm-0", dm=("vg-swap", "LVM-abc"))
    assert "a new random key" in refused(machine)


def test_plain_key_that_stays_lasts(machine: Machine) -> None:
    machine.crypttab.write_text("cs /dev/sda2 /root/key plain\npass /dev/sda3\n")
    machine.add("sda2")
    machine.add("dm-0", "sda2", dm=("cs", "CRYPT-PLAIN-cs"))
    refuse_volatile(machine.node, "it")
    machine.add("dm-1", "sda2", dm=("pass", "CRYPT-PLAIN-pass"))
    refuse_volatile(machine.node, "it")


def test_plain_key_that_nobody_knows_does_not(machine: Machine) -> None:
    machine.add("dm-0", dm=("cs", "CRYPT-PLAIN-cs"))
    assert "does not name (cs)" in refused(machine)


def test_devices_to_look_at(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither memory nor files nor what another layer holds."""
    for name in ("zram0", "ram0", "loop0", "sr0", "fd0", "sda", "sda1"):
        machine.add(name)
    machine.add("dm-0", "sda1", dm=("crypt", "CRYPT-LUKS2-0123-crypt"))
    machine.add("cciss!c0d0")
    machine.add("gone")
    monkeypatch.setattr(locate, "_CLASS", os.path.join(machine.root, "class/block"))
    monkeypatch.setattr(locate, "_is_block", lambda path: path != "/dev/gone")
    assert list(whole_devices()) == ["/dev/cciss/c0d0", "/dev/dm-0", "/dev/sda"]
