"""Where an image may come from: where it is named, else not from what may be anybody's."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.vm.conftest import SWAP_MIB, Boot, Nest, Nursery
from tests.vm.cuts import check_continues, words
from vm.disks import swap_disk
from vm.machine import Machine

pytestmark = [pytest.mark.vm, pytest.mark.long]

NO_IMAGE = "3"


@pytest.fixture(scope="module")
def hibernated(nursery: Nursery) -> Nest:
    folder = nursery.folder("unnamed")
    name = swap_disk(folder / "swap.img", SWAP_MIB)
    modules = ("xhci_pci", "usb_storage", "sd_mod")
    machine = nursery.machine(
        folder.name, "6.1", "", folder / "swap.img", modules=modules, early=("await.sh",)
    )
    nest = nursery.first_life(replace(machine, append=f"resume=UUID={name}"), "demo")
    return Nest(machine, nest.first)


def test_named_by_nobody(hibernated: Nest, boot: Boot, tmp_path: Path) -> None:
    result = boot(hibernated.copy(tmp_path / "machine"))
    assert result.status == 0
    check_continues(hibernated.first, result)


def check_is_cold(machine: Machine, boot: Boot) -> None:
    result = boot(machine)
    assert words(result.report, "resumer-exit ")["code"] == NO_IMAGE
    assert result.told("status") == "0"


def test_a_stick_supplies_no_memory(hibernated: Nest, boot: Boot, tmp_path: Path) -> None:
    """It is there before the resumer looks, with an image that is this machine's."""
    machine = hibernated.copy(tmp_path / "machine")
    root, stick = machine.disks
    append = f"{machine.append} await=/dev/sda"
    check_is_cold(replace(machine, disks=[root], stick=stick, append=append), boot)


def test_named_elsewhere(hibernated: Nest, boot: Boot, tmp_path: Path) -> None:
    """Another disk than the named one holds the image."""
    machine = hibernated.copy(tmp_path / "machine")
    empty = swap_disk(tmp_path / "empty.img", SWAP_MIB)
    disks = [*machine.disks, tmp_path / "empty.img"]
    append = f"{machine.append} resume=UUID={empty}"
    check_is_cold(replace(machine, disks=disks, append=append), boot)
