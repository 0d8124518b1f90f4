"""A file system in a file of another one, in another mount namespace; swap on a loop device."""

import pytest

from tests.vm.conftest import Boot, Nursery
from tests.vm.cuts import check_continues, words
from vm.disks import ext4_complaints, file_system_disk, swap_disk

pytestmark = pytest.mark.vm


def test_a_file_system_in_a_file_stops_first(nursery: Nursery, boot: Boot) -> None:
    """Frozen after the one that holds its file, it would never stop, and no signal would help."""
    folder = nursery.folder("loops")
    disks = [folder / "swap.img", file_system_disk(folder / "outer.img", "ext4")]
    resume = f"resume=UUID={swap_disk(disks[0], 512)}"
    machine = nursery.machine("loops", "6.1", resume, *disks, modules=["loop"])
    nest = nursery.first_life(machine, "loops")
    refused = words(nest.first.report, "on-loop=")
    assert refused["on-loop"] == "13"
    assert refused["said"].startswith("torpor:_the_swap_on_/dev/loop5_lies_on_/dev/loop5,_which_")
    refused = words(nest.first.report, "to-loop=")
    assert refused["to-loop"] == "8"
    assert refused["said"].startswith("torpor:_/dev/loop5_is_a_loop_device")
    result = boot(machine)
    check_continues(nest.first, result)
    assert result.told("code") == "0"
    assert result.told("nest") == "0"
    for disk in (machine.disks[0], machine.disks[2]):
        assert ext4_complaints(disk) == ""
